// Command host moves a whole host: a debootstrapped Debian 12 whose openbsd-inetd serves a dozen daemons of
// Debian's, most of them behind tcpd, under hosts.allow and hosts.deny as a site has them after twenty years.
//
//	make test-host
//
// Clients ask every service of it, and one that hosts.deny is about is refused. Then a script does what
// an administrator would, with nothing but the package and what it installs, in one of two ways: the
// stand-in casemate-inetd goes on with the files as they are (guest/drop-in), or casemate import host writes
// a policy from them (guest/import). The same clients ask again, and explain shows what
// each service's programs may do. At last the package is upgraded, serves as before, and is purged.
//
// Each way has the host anew, in namespaces of its own (mount, network, pid, ipc and uts), on an
// overlay that goes when they do. It needs root, debootstrap and what make deb has made; the tree is kept in
// the cache.
package main
