package warden

import (
	"maps"
	"os"
	"slices"

	"casemate/policy"
)

// defaultPath is login.defs(5)'s ENV_PATH with the sbin directories, where
// most network services live.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// FactNames are all variables that facts may set.
var FactNames = []string{
	"PROTO", "TCPLOCALIP", "TCPLOCALPORT", "TCPREMOTEIP", "TCPREMOTEPORT", "TCPREMOTEHOST",
	"UDPLOCALIP", "UDPLOCALPORT", "UDPREMOTEIP", "UDPREMOTEPORT", "UDPREMOTEHOST",
	"IPCREMOTEEUID", "IPCREMOTEEGID", "VSOCKREMOTECID", "VSOCKREMOTEPORT", "REMOTE_ADDR", "REMOTE_PORT", "REMOTE_HOST",
}

// fixedEnv is the part of the environment that is the same for every
// connection, sorted. A policy's variable that has a fact's name is left out:
// getenv(3) returns the first of two, and a constant must not hide the peer.
func fixedEnv(s *policy.Service) []string {
	env := map[string]string{"PATH": defaultPath}
	for _, k := range s.PassEnv {
		if v, ok := os.LookupEnv(k); ok {
			env[k] = v
		}
	}
	maps.Copy(env, s.Env)
	out := make([]string, 0, len(env))
	for k, v := range env {
		if len(s.EnvStyle) > 0 && slices.Contains(FactNames, k) {
			continue
		}
		out = append(out, k+"="+v)
	}
	slices.Sort(out)
	return out
}
