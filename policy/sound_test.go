package policy_test

import (
	"casemate/listener/address"
	"casemate/policy"
	"casemate/policy/canon"
	"casemate/sandbox"
	"strings"
	"testing"
	"time"
)

// TestSound: no number means "no limit" by being out of range, and no socket is opened
// twice, whatever the compiler lets through.
func TestSound(t *testing.T) {
	for name, breaks := range map[string]func(*policy.Policy){
		"session":    func(p *policy.Policy) { p.Limits[0].Session = -1 },
		"first byte": func(p *policy.Policy) { p.Limits[0].FirstByte = -1 },
		"min rate":   func(p *policy.Policy) { p.Limits[0].MinRate = -1 },
		"paced": func(p *policy.Policy) {
			p.Limit(p.Services[1].Limit).MinRate, p.Services[1].KeepSocket = 1, false
			p.Services[0].Listen[0].Network = "tcp"
		},
		"banner":    func(p *policy.Policy) { p.Services[1].BannerAccept = strings.Repeat("x", policy.MaxBanner+1) },
		"stdout":    func(p *policy.Policy) { p.Services[1].Stdout = "null" },
		"stdout 2":  func(p *policy.Policy) { p.Services[1].Stdout, p.Services[1].Stdio = "log", "socket-all" },
		"rate":      func(p *policy.Policy) { p.Limits[0].PerSource.Rate.Per = -time.Second },
		"penalty":   func(p *policy.Policy) { p.Limits[0].Penalty.First = 0 },
		"resource":  func(p *policy.Policy) { p.Profiles[0].Resources[sandbox.OpenFiles] = -1 },
		"tmp":       func(p *policy.Policy) { p.Profiles[0].Files.Tmp = -1 },
		"sum":       func(p *policy.Policy) { p.Profiles[0].Files.Tmp, p.Profiles[0].Files.Shm = 1<<62, 1<<62 },
		"idle":      func(p *policy.Policy) { p.Services[1].Idle = -1 },
		"keepalive": func(p *policy.Policy) { p.Services[1].Socket.Keepalive = -1 },
		"nice":      func(p *policy.Policy) { p.Services[1].Nice = -21 },
		"oom_score": func(p *policy.Policy) { p.Services[1].OOMScore = -1 },
		"priority":  func(p *policy.Policy) { p.Services[0].Listen[0].Network, p.Services[0].Socket.Priority = "tcp", 1 },
		"fd_names":  func(p *policy.Policy) { p.Services[1].FDNames = []string{"one", "two"} },
		"socket":    func(p *policy.Policy) { p.Services[1].Listen[1] = p.Services[1].Listen[0] },
		"path": func(p *policy.Policy) {
			p.Services[1].Listen[0] = address.Listen{Network: "unixpacket", Path: "/run/f.sock"}
		},
		"ports": func(p *policy.Policy) {
			p.Services[1].Listen = nil
			for i := range 17 {
				p.Services[1].Listen = append(p.Services[1].Listen, address.Listen{Network: "tcp4", Port: uint16(1 + 1024*i), LastPort: uint16(1024 + 1024*i)})
			}
		},
	} {
		p := sample()
		breaks(p)
		if _, err := canon.Encode(p); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}
