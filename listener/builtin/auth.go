package builtin

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"time"
)

const (
	// maxQuery is more than any query of RFC 1413 needs: two ports, a comma and blanks.
	maxQuery = 256
	// lineTime is how long a client has for its one line, however it comes.
	lineTime = 30 * time.Second
)

// auth answers each query (RFC 1413) with the one name of the policy, or that the user is
// hidden. It looks nothing up: neither whose connection it is nor any file of that user.
func auth(c *Config) protocol {
	answer := "ERROR : HIDDEN-USER"
	if len(c.Says) > 0 {
		answer = "USERID : UNIX : " + c.Says[0]
	}
	return protocol{stream: func(conn *conn) error {
		line, err := conn.line(maxQuery, lineTime)
		if errors.Is(err, errLong) {
			return conn.last([]byte("0 , 0 : ERROR : INVALID-PORT\r\n"))
		} else if err != nil {
			return end(err)
		}
		ours, theirs, ok := ports(line)
		said := answer
		if !ok {
			said = "ERROR : INVALID-PORT"
		}
		return conn.last(fmt.Appendf(nil, "%d , %d : %s\r\n", ours, theirs, said))
	}}
}

// ports reads the two ports of a query, zeros where they are none. Nothing else of a query
// comes back to the client.
func ports(line []byte) (ours, theirs uint16, ok bool) {
	a, b, ok := bytes.Cut(line, []byte(","))
	x, errA := strconv.ParseUint(string(bytes.Trim(a, " \t")), 10, 16)
	y, errB := strconv.ParseUint(string(bytes.Trim(b, " \t")), 10, 16)
	if !ok || errA != nil || errB != nil || x == 0 || y == 0 {
		return 0, 0, false
	}
	return uint16(x), uint16(y), true
}
