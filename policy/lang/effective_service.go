package lang

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"casemate/policy"
	"casemate/policy/explain"
)

// serviceSays are the attributes of a service by the block that they are in.
var serviceSays = map[string]map[string]func(*policy.Service) said{
	"": {
		"listen": func(s *policy.Service) (out said) {
			at := "services." + s.Name + "."
			for i, l := range s.Listen {
				out.items, out.paths = append(out.items, quote(l.String())), append(out.paths, fmt.Sprintf("%slisten.%d", at, i))
			}
			for i, name := range s.Mux {
				out.items, out.paths = append(out.items, quote(muxPrefix+name)), append(out.paths, fmt.Sprintf("%smux.%d", at, i))
			}
			return out
		},
		"command": func(s *policy.Service) said { return listed(s.Command) },
		"argv0":   func(s *policy.Service) said { return worded(s.Argv0) },
		"builtin": func(s *policy.Service) said { return worded(s.Builtin) },
		"says": func(s *policy.Service) (out said) {
			for _, text := range s.Says {
				if s.Builtin == "qotd" { // as serviceBlock reads it
					text = strings.ReplaceAll(strings.TrimSuffix(text, "\r\n"), "\r\n", "\n")
				}
				out.items = append(out.items, quote(text))
			}
			return out
		},
		"amplify":        func(s *policy.Service) said { return truthful(s.Amplify) },
		"redirect":       func(s *policy.Service) said { return worded(explain.Target(s)) },
		"proxy_protocol": func(s *policy.Service) said { return worded(s.ProxyProtocol) },
		"user":           func(s *policy.Service) said { return worded(s.User) },
		"group":          func(s *policy.Service) said { return worded(s.Group) },
		"disable":        func(s *policy.Service) said { return truthful(s.Disable) },
		"groups":         func(s *policy.Service) said { return listed(s.Groups) },
		"because":        func(s *policy.Service) said { return worded(s.Because) },
		"acl":            func(s *policy.Service) said { return referred(kindACL, s.ACL) },
		"limit":          func(s *policy.Service) said { return referred(kindLimit, s.Limit) },
		"profile":        func(s *policy.Service) said { return referred(kindProfile, s.Profile) },
		"wait":           func(s *policy.Service) said { return spoken(s.Wait) },
		"stdio":          func(s *policy.Service) said { return worded(s.Stdio) },
		"stdout":         func(s *policy.Service) said { return worded(s.Stdout) },
		"refuse":         func(s *policy.Service) said { return worded(s.Refuse) },
		"fd_names":       func(s *policy.Service) said { return listed(s.FDNames) },
		"env":            func(s *policy.Service) said { return said{pairs: s.Env} },
		"pass_env":       func(s *policy.Service) said { return listed(s.PassEnv) },
		"env_style": func(s *policy.Service) said {
			return said{items: quotedAll(s.EnvStyle), empty: true}
		},
		"dir":   func(s *policy.Service) said { return worded(s.Dir) },
		"umask": func(s *policy.Service) said { return said{value: fmt.Sprintf("\"%04o\"", s.Umask)} },
		"nice": func(s *policy.Service) said {
			if s.Nice < 0 {
				return said{value: fmt.Sprintf("\"%d\"", s.Nice)}
			}
			return counted(s.Nice)
		},
		"oom_score":      func(s *policy.Service) said { return counted(s.OOMScore) },
		"banner":         func(s *policy.Service) said { return sent(s.Banner) },
		"banner_accept":  func(s *policy.Service) said { return sent(s.BannerAccept) },
		"banner_success": func(s *policy.Service) said { return sent(s.BannerSuccess) },
		"keep_socket":    func(s *policy.Service) said { return spoken(s.KeepSocket) },
		"hangup":         func(s *policy.Service) said { return truthful(s.Hangup) },
		"idle":           func(s *policy.Service) said { return lasting(s.Idle) },
		"linger":         func(s *policy.Service) said { return lasting(s.Linger) },
		"log":            func(s *policy.Service) said { return worded(s.Log) },
		"retry":          func(s *policy.Service) said { return truthful(s.Retry) },
	},
	"socket": {
		"mode": func(s *policy.Service) (out said) {
			if s.Socket.Mode != 0 {
				out.value = fmt.Sprintf("\"%04o\"", s.Socket.Mode)
			}
			return out
		},
		"owner":          func(s *policy.Service) said { return worded(s.Socket.Owner) },
		"group":          func(s *policy.Service) said { return worded(s.Socket.Group) },
		"backlog":        func(s *policy.Service) said { return counted(s.Socket.Backlog) },
		"keepalive":      func(s *policy.Service) said { return lasting(s.Socket.Keepalive) },
		"nodelay":        func(s *policy.Service) said { return truthful(s.Socket.NoDelay) },
		"interface":      func(s *policy.Service) said { return worded(s.Socket.Interface) },
		"freebind":       func(s *policy.Service) said { return truthful(s.Socket.Freebind) },
		"transparent":    func(s *policy.Service) said { return truthful(s.Socket.Transparent) },
		"send_buffer":    func(s *policy.Service) said { return buffered(s.Socket.SendBuffer) },
		"receive_buffer": func(s *policy.Service) said { return buffered(s.Socket.ReceiveBuffer) },
		"tos":            func(s *policy.Service) said { return counted(s.Socket.TOS) },
		"mark":           func(s *policy.Service) said { return counted(s.Socket.Mark) },
		"priority":       func(s *policy.Service) said { return counted(s.Socket.Priority) },
	},
}

func buffered(n uint32) (out said) {
	if n != 0 {
		out.value = quote(explain.ExactSize(int64(n)))
	}
	return out
}

// sent is a banner as it is sent. One without a line's end only a file can say.
func sent(text string) said {
	if !strings.HasSuffix(text, "\n") {
		return said{}
	}
	return worded(text)
}

func (e *printer) service(origins policy.Origins, s *policy.Service) {
	at := "services." + s.Name + "."
	fmt.Fprintf(&e.b, "service %s {%s\n", quote(s.Name), e.comment("services."+s.Name))
	tell(e, rowsOf(s), at, "", serviceSays[""], s)
	if s.ACL == "" {
		e.b.WriteString("# it names no acl: nobody is admitted\n")
	}
	for name, text := range map[string]string{"banner": s.Banner, "banner_accept": s.BannerAccept, "banner_success": s.BannerSuccess} {
		if text != "" && !strings.HasSuffix(text, "\n") {
			e.attribute(name, "{ file = "+quote(path.Base(explain.File(origins.Lookup(at+name))))+" }", commented+"# "+quote(text))
		}
	}
	e.block("socket", func() { tell(e, serviceTable, at, "socket", serviceSays["socket"], s) })
	e.b.WriteString("}\n")
}

// rowsOf are the rows of the attributes that a service may write: casemate-worker has none that are
// a program's, but those that hold for the relay's connections.
func rowsOf(s *policy.Service) table[policy.Service] {
	rows := slices.Clone(serviceTable[0].rows)
	rows = slices.DeleteFunc(rows, func(r row[policy.Service]) bool {
		return r.Program && s.Ours() && !(s.Redirects() && slices.Contains(ofRelays, r.Name))
	})
	return table[policy.Service]{{rows: rows}}
}
