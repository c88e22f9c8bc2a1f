// Package host knows the users of this host: names and numbers of accounts, and
// the uids leased to connections, which are one pool for all brokers of the host.
//
// It runs as root inside casemated. It knows no service and no policy.
package host
