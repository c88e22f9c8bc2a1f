package warden

import (
	"fmt"

	"casemate/listener"
	"casemate/listener/host"
	"casemate/policy"
	"casemate/sandbox"
)

// Socket is one socket that a service asks for.
type Socket struct {
	Spec     listener.Spec
	Optional bool // the second family of "tcp" or "udp" without an address
	Retry    bool
	Listen   int // which of the service's addresses it is
}

// sockets turns a service's listen addresses into sockets. With an error only the
// owner of their files is not known.
func sockets(a *host.Accounts, s *policy.Service) ([]Socket, error) {
	file, err := socketFile(a, &s.Socket)
	if err != nil {
		err = fmt.Errorf("services.%s.socket.%w", s.Name, err)
	}
	var out []Socket
	for i, l := range s.Listen {
		for _, e := range s.Endpoints(l) {
			spec := listener.Spec{Endpoint: e, UID: listener.KeepID, GID: listener.KeepID}
			if l.File() {
				spec = file
				spec.Endpoint = e
			}
			spec.Backlog, spec.Wait, spec.Settings = s.Socket.Backlog, s.Wait, settings(&s.Socket)
			out = append(out, Socket{Spec: spec, Optional: l.Optional(e), Retry: s.Retry, Listen: i})
		}
	}
	return out, err
}

// settings are the options of o as the kernel takes them. Keepalive is one question after the
// silence, and four more in as long again (tcp(7)).
func settings(o *policy.Socket) listener.Settings {
	bit := map[bool]uint32{true: 1}
	out := listener.Settings{bit[o.Freebind], bit[o.Transparent], o.Mark, o.TOS, o.Priority, o.SendBuffer, o.ReceiveBuffer,
		bit[o.SendBuffer > 0] | bit[o.ReceiveBuffer > 0]<<1, bit[o.NoDelay]}
	if idle := uint32(o.Keepalive.Seconds()); idle > 0 {
		copy(out[9:], []uint32{1, idle, max(idle/4, 1), 4})
	}
	return out
}

// socketFile is what the options say about the file of a unix socket.
func socketFile(a *host.Accounts, o *policy.Socket) (listener.Spec, error) {
	spec := listener.Spec{Mode: o.Mode, UID: listener.KeepID, GID: listener.KeepID}
	var err error
	if o.Owner != "" {
		if spec.UID, _, err = a.User(o.Owner); err != nil {
			return spec, fmt.Errorf("owner: %w", err)
		}
	}
	if o.Group != "" {
		if spec.GID, err = a.Group(o.Group); err != nil {
			return spec, fmt.Errorf("group: %w", err)
		}
	}
	return spec, nil
}

// resolve finds the ids of a service. Errors name the attribute.
func resolve(a *host.Accounts, s *policy.Service, id *sandbox.Command) (err error) {
	if s.User == policy.Dynamic {
		id.Dynamic = true
		if s.Group != "" {
			return fmt.Errorf("services.%s.group: a leased uid has its own group", s.Name)
		}
	} else if id.UID, id.GID, err = a.User(string(s.User)); err != nil {
		return fmt.Errorf("services.%s.user: %w", s.Name, err)
	}
	if s.Group != "" {
		if id.GID, err = a.Group(string(s.Group)); err != nil {
			return fmt.Errorf("services.%s.group: %w", s.Name, err)
		}
	}
	for i, g := range s.Groups {
		gid, err := a.Group(g)
		if err != nil {
			return fmt.Errorf("services.%s.groups.%d: %w", s.Name, i, err)
		}
		id.Groups = append(id.Groups, gid)
	}
	return nil
}
