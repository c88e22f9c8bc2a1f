// Package warden is what casemated does as root: it has the policy compiled, takes of the
// document what is granted to root (package granted), works out what that means on this host, opens the listeners, prepares the sandboxes
// of services and of casemated's own helpers, starts their zygotes and programs, and watches over
// all children of this process: nobody else signals or reaps one.
//
// It decides nothing about clients and writes no record. The broker does, a process without rights that reads the whole
// document, that it starts (start.go) and that sends it on errands (errand.go, serve.go): with the names of services of
// a document that the compiler gave, and numbers of what was made of them. Of programs that start and
// end they tell each other by tidings (tiding.go). Package hands is what the broker sees of all this.
package warden
