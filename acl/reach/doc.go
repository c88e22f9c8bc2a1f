// Package reach computes with sets of clients, exactly: whom each rule of a list still
// decides about, which rules keep another from doing so, whom a list admits of a network, and
// whom one list admits that another does not.
//
// A client is a point (its address, or the number of its user or machine) under circumstances
// (what is known of its name, the address it came to, the time). Points are held as ranges.
// Of the circumstances there are as many as the rules can tell apart: each name and
// domain that they mention, and all other names together; likewise for local addresses and times.
// Nothing is supposed of who has which name. The first rule that matches decides, as in package decide, which the tests hold
// this one to.
//
// It is pure, and for who reviews policies: what decides about clients does not link it.
package reach
