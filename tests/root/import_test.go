package root

import (
	"strings"
	"testing"
	"testing/fstest"

	"casemate/policy/importer"
	"casemate/tests/root/rig"
)

// TestImportedHost: what an import makes of a host's inetd.conf, xinetd.conf, tables of tcp
// wrappers and socket unit is served as it stands, and refuses whom they refused.
func TestImportedHost(t *testing.T) {
	rig.Root(t)
	rogue := rig.Compile(t, "testdata/rogue.c")
	wrapped, only, no, unit := rig.Port(t), rig.Port(t), rig.Port(t), rig.Port(t)
	fill := strings.NewReplacer("ROGUE", rogue, "WRAPPED", wrapped, "ONLY", only, "NO", no, "UNIT", unit)
	host := fstest.MapFS{}
	for name, text := range map[string]string{
		"etc/inetd.conf":  "127.0.0.1:WRAPPED stream tcp nowait nobody /usr/sbin/tcpd ROGUE hold\n",
		"etc/xinetd.conf": "defaults\n{\n\tinstances = 20\n\tbind = 127.0.0.1\n}\nincludedir /etc/xinetd.d\n",
		"etc/xinetd.d/only": `service only
{
	type = UNLISTED
	socket_type = stream
	wait = no
	user = nobody
	server = ROGUE
	server_args = hold
	port = ONLY
	only_from = 127.0.0.0
	rlimit_files = 32
	umask = 027
}
service no
{
	type = UNLISTED
	socket_type = stream
	wait = no
	user = nobody
	server = ROGUE
	server_args = hold
	port = NO
	no_access = 127.0.0.1
}
`,
		"etc/hosts.allow":                        "program: 127.\n",
		"etc/hosts.deny":                         "ALL: ALL\n",
		"lib/systemd/system/unit.socket":         "[Socket]\nListenStream=127.0.0.1:UNIT\nAccept=yes\n",
		"lib/systemd/system/unit@.service":       "[Service]\nExecStart=-ROGUE hold\nUser=nobody\nStandardInput=socket\n",
		"etc/systemd/system/x.wants/unit.socket": "",
	} {
		host[name] = &fstest.MapFile{Data: []byte(fill.Replace(text)), Mode: 0o644}
	}
	r, err := importer.Host(host)
	if err != nil {
		t.Fatal(err)
	}
	b := rig.ServeWith(t, rig.Options{Files: map[string]string{"site.cm.hcl": string(r.HCL)}})
	for service, port := range map[string]string{"port-" + wrapped: wrapped, "only": only, "unit": unit} {
		held := says(t, port, "holding")
		confined(t, b, session(t, b, service), leaves{})
		held.Close()
	}
	if got, err := rig.Exchange(no, ""); err == nil && got != "" {
		t.Errorf("no_access is served: %q", got)
	}
}
