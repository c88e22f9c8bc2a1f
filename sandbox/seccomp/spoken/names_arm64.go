package spoken

var mapFlagsHere []bit
