package warden

import (
	"fmt"

	"casemate/listener"
	"casemate/listener/host"
	"casemate/policy/granted"
	"casemate/sandbox"
)

// sockets are those of a service on this host. With an error only the
// owner of their files is not known.
func sockets(a *host.Accounts, s *granted.Service) (out []granted.Socket, err error) {
	for _, at := range s.Sockets {
		at.Spec.UID, at.Spec.GID = listener.KeepID, listener.KeepID
		var failed error
		if at.Owner != "" {
			if at.Spec.UID, _, failed = a.User(at.Owner); failed != nil {
				err = fmt.Errorf("services.%s.socket.owner: %w", s.Command.Service, failed)
			}
		}
		if at.Group != "" {
			if at.Spec.GID, failed = a.Group(at.Group); failed != nil {
				err = fmt.Errorf("services.%s.socket.group: %w", s.Command.Service, failed)
			}
		}
		out = append(out, at)
	}
	return out, err
}

// resolve finds the ids of a service. Errors name the attribute.
func resolve(a *host.Accounts, s *granted.Service, id *sandbox.Command) (err error) {
	if s.User == granted.Dynamic {
		id.Dynamic = true
		if s.Group != "" {
			return fmt.Errorf("services.%s.group: a leased uid has its own group", id.Service)
		}
	} else if id.UID, id.GID, err = a.User(s.User); err != nil {
		return fmt.Errorf("services.%s.user: %w", id.Service, err)
	}
	if s.Group != "" {
		if id.GID, err = a.Group(s.Group); err != nil {
			return fmt.Errorf("services.%s.group: %w", id.Service, err)
		}
	}
	for i, g := range s.Groups {
		gid, err := a.Group(g)
		if err != nil {
			return fmt.Errorf("services.%s.groups.%d: %w", id.Service, i, err)
		}
		id.Groups = append(id.Groups, gid)
	}
	return nil
}
