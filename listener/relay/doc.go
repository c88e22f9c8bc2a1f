// Package relay carries one client's connection to the target of a service with
// redirect: casemate-worker alone runs it, one process for each session.
//
// A process for each, and not one for the service or for all of them, because then a
// session is what every other session is: the acl, the limits, penalties, idle times,
// `casemate kill`, the records and status hold for it with no second accounting, its
// clients are kept apart by the same namespaces, and one that is stuck or broken is
// one that is. A shared worker would save the two milliseconds in which a Go program
// starts, and would need all of that again, with fewer walls between the clients.
//
// The relay opens no socket. The broker begins the connection to an IP address, which
// takes no byte of anybody's, and hands it over unfinished beside the client's; so the
// process needs neither network nor connect(2), on any kernel, and reaches nobody but
// its two peers. A unix socket is the exception: its server asks who connects, and
// must not be told root, so the relay connects as the service's user, under a profile
// that shows it the socket and grants connect(2), which Landlock keeps from every port.
//
// Bytes go from socket to pipe to socket by splice(2): but for urgent ones, none of them
// is ever in the memory of the process, and a pipe in each direction is all that is buffered.
//
// The relay of stdio = "relay" is the same code with a program's socket pair for a target. There
// the session is its program, which has its own walls; so one process carries for all of them, on
// an event loop, at the price of two messages for a session.
package relay
