// Package ban is what an operator says beside the policy of who is served: sources that are shut out for a while, and
// services that take no new clients. It is pure: the caller passes the time.
package ban

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// The reasons that a refused client's record has.
const (
	ReasonBan   = "ban"   // an operator has banned its source
	ReasonDrain = "drain" // an operator has the service take no new clients
)

// Reason tells whether a client was refused by an operator's word, which no attribute of a policy bounds.
func Reason(refused string) bool { return refused == ReasonBan || refused == ReasonDrain }

// The bounds of a State, and of one ban's time.
const (
	MostBans   = 1024 // one for each of the services that one is for
	MostDrains = 1024
	MaxFor     = 366 * 24 * time.Hour
)

// Ban shuts a source out.
type Ban struct {
	// Prefix is canonical, and never one of IPv4 within IPv6.
	Prefix netip.Prefix `json:"prefix"`
	// Service is the one that it is for, "" all.
	Service string    `json:"service,omitempty"`
	Since   time.Time `json:"since,omitzero"`
	// Until is when it ends; the zero time is when somebody takes it back.
	Until time.Time `json:"until,omitzero"`
	UID   uint32    `json:"uid"` // who has asked for it
	// Ends says that sessions which are there when it comes end as well.
	Ends bool `json:"ends,omitempty"`
}

// Over tells whether its time is.
func (b *Ban) Over(now time.Time) bool { return !b.Until.IsZero() && !now.Before(b.Until) }

// holds tells whether it is for a service.
func (b *Ban) holds(service string) bool { return b.Service == "" || b.Service == service }

// Drain has a service take no new clients.
type Drain struct {
	Service string    `json:"service"`
	Since   time.Time `json:"since,omitzero"`
	UID     uint32    `json:"uid"`
}

// State is all of it.
type State struct {
	Bans   []Ban   `json:"bans,omitempty"`   // by prefix and service
	Drains []Drain `json:"drains,omitempty"` // by service
}

// Check makes sure of what was read, and of a prefix that somebody asks for.
func (s *State) Check() error {
	if len(s.Bans) > MostBans || len(s.Drains) > MostDrains {
		return fmt.Errorf("%d bans and %d drained services are more than %d and %d", len(s.Bans), len(s.Drains), MostBans, MostDrains)
	}
	for i := range s.Bans {
		if err := CheckPrefix(s.Bans[i].Prefix); err != nil {
			return err
		}
		if i > 0 && order(s.Bans[i-1], s.Bans[i]) >= 0 {
			return fmt.Errorf("bans of %s are in no order", s.Bans[i].Prefix)
		}
	}
	for i := 1; i < len(s.Drains); i++ {
		if s.Drains[i-1].Service >= s.Drains[i].Service {
			return errors.New("drained services are in no order")
		}
	}
	return nil
}

// CheckPrefix refuses what is no prefix as policies have them.
func CheckPrefix(p netip.Prefix) error {
	switch {
	case !p.IsValid():
		return errors.New("no address and no prefix")
	case p.Addr().Is4In6():
		return fmt.Errorf("%s is IPv4 within IPv6: write the IPv4 address", p)
	case p != p.Masked():
		return fmt.Errorf("%s has bits set behind its length: write %s", p, p.Masked())
	}
	return nil
}

func order(a, b Ban) int {
	return cmp.Or(a.Prefix.Addr().Compare(b.Prefix.Addr()), a.Prefix.Bits()-b.Prefix.Bits(), cmp.Compare(a.Service, b.Service))
}

// Set adds a ban, in place of the one of its source and service if there is one: false where there is no room.
func (s *State) Set(b Ban) bool {
	i, found := slices.BinarySearchFunc(s.Bans, b, order)
	switch {
	case found:
		s.Bans[i] = b
	case len(s.Bans) == MostBans:
		return false
	default:
		s.Bans = slices.Insert(s.Bans, i, b)
	}
	return true
}

// Lift takes back the bans of exactly that source, those for one of the services or, without any, all of them.
func (s *State) Lift(p netip.Prefix, services []string) (lifted []Ban) {
	s.Bans = slices.DeleteFunc(s.Bans, func(b Ban) bool {
		gone := b.Prefix == p && (len(services) == 0 || slices.Contains(services, b.Service))
		if gone {
			lifted = append(lifted, b)
		}
		return gone
	})
	return lifted
}

// Expire forgets the bans whose time is over, gives them, and tells when the next one's will be; the zero time is never.
func (s *State) Expire(now time.Time) (over []Ban, next time.Time) {
	s.Bans = slices.DeleteFunc(s.Bans, func(b Ban) bool {
		switch {
		case b.Over(now):
			over = append(over, b)
			return true
		case !b.Until.IsZero() && (next.IsZero() || b.Until.Before(next)):
			next = b.Until
		}
		return false
	})
	return over, next
}

// Drained finds a service among those that take no new clients.
func (s *State) Drained(service string) bool {
	_, found := s.drain(service)
	return found
}

func (s *State) drain(service string) (int, bool) {
	return slices.BinarySearchFunc(s.Drains, service, func(d Drain, name string) int { return cmp.Compare(d.Service, name) })
}

// Drain adds a service to them: false where it is one, or there is no room.
func (s *State) Drain(d Drain) bool {
	i, found := s.drain(d.Service)
	if found || len(s.Drains) == MostDrains {
		return false
	}
	s.Drains = slices.Insert(s.Drains, i, d)
	return true
}

// Undrain takes a service from them: false where it is none.
func (s *State) Undrain(service string) bool {
	i, found := s.drain(service)
	if found {
		s.Drains = slices.Delete(s.Drains, i, i+1)
	}
	return found
}

// Of is the part that one service has to know.
func (s *State) Of(service string) (part State) {
	for _, b := range s.Bans {
		if b.holds(service) {
			part.Bans = append(part.Bans, b)
		}
	}
	if i, found := s.drain(service); found {
		part.Drains = s.Drains[i : i+1 : i+1]
	}
	return part
}
