package spoken

import "golang.org/x/sys/unix"

var mapFlagsHere = []bit{{unix.MAP_32BIT, "MAP_32BIT"}}
