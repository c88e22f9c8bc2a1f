// Package shield has the kernel refuse what it can of a service's host rules and limits, at the listening
// socket: a connection that is refused there ends at its SYN, a datagram before it is queued, and neither
// costs any process a thing. It is a socket filter (SO_ATTACH_FILTER, socket(7)); there is no firewall.
//
// A filter is made from ranges of addresses: whom the rules refuse whatever else is known of them, and sources that are
// shut out for a while. Whom it does not refuse passes, and meets the same rules again in package decide: the shield
// refuses nobody whom that would admit. It counts nothing, so no SYN, whose source anybody can forge, uses anything up.
//
// It is classic BPF and not eBPF: nothing that runs as root has to be let use bpf(2) for it, and to attach it takes no more than
// CAP_NET_ADMIN, where the kernel asks that of who filters a socket of TCP. The price is that a filter holds some thousand
// prefixes (BPF_MAXINSNS); of more, the largest are refused there and the rest here.
package shield
