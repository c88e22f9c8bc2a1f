package broker

import (
	"errors"
	"fmt"

	"casemate/listener"
	"casemate/policy"

	"golang.org/x/sys/unix"
)

// wantedSocket is one socket that a generation asks for.
type wantedSocket struct {
	spec     listener.Spec
	optional bool // the second family of "tcp" or "udp" without an address
	retry    bool
}

// sockets turns a service's listen addresses into sockets.
func (a *accounts) sockets(s *policy.Service) ([]wantedSocket, error) {
	file, err := a.socketFile(&s.Socket)
	if err != nil {
		return nil, fmt.Errorf("services.%s.socket: %w", s.Name, err)
	}
	var out []wantedSocket
	for _, l := range s.Listen {
		for _, e := range l.Endpoints() {
			spec := listener.Spec{Endpoint: e, UID: listener.KeepID, GID: listener.KeepID}
			if l.File() {
				spec = file
				spec.Endpoint = e
			}
			spec.Backlog, spec.Wait = s.Socket.Backlog, s.Wait
			out = append(out, wantedSocket{spec: spec, optional: l.Optional(e), retry: s.Retry})
		}
	}
	return out, nil
}

// socketFile is what the options say about the file of a unix socket.
func (a *accounts) socketFile(o *policy.Socket) (listener.Spec, error) {
	spec := listener.Spec{Mode: o.Mode, UID: listener.KeepID, GID: listener.KeepID}
	var err error
	if o.Owner != "" {
		if spec.UID, _, err = a.user(o.Owner); err != nil {
			return spec, fmt.Errorf("owner: %w", err)
		}
	}
	if o.Group != "" {
		if spec.GID, err = a.group(o.Group); err != nil {
			return spec, fmt.Errorf("group: %w", err)
		}
	}
	return spec, nil
}

// taken reports whether err of listener.Open means that somebody has the
// address: then our own old socket may be in the way, or a retry helps.
func taken(err error) bool {
	return errors.Is(err, unix.EADDRINUSE) || errors.Is(err, listener.ErrLive)
}

// absent reports whether err means that the host has no such family or address (yet).
func absent(err error) bool {
	return errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EADDRNOTAVAIL)
}
