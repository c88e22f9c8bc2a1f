package importer

import (
	"errors"
	"io/fs"
	"strings"

	"casemate/policy"
	"casemate/policy/hostsaccess"
	"casemate/policy/inetd"
	"casemate/policy/netdb"
)

// unitDirs are where systemd looks for units, the first one first.
var unitDirs = []string{"etc/systemd/system", "run/systemd/system", "usr/lib/systemd/system", "lib/systemd/system"}

// Host writes what a host has of all tables: fsys is its file system, from "/". Of systemd
// those socket units that are enabled, and start a program for each connection.
func Host(fsys fs.FS) (*Result, error) {
	p, r := newPage(), &xReader{fsys: fsys}
	found := false
	p.whole = true
	read := func(name string) (text []byte, ok bool) {
		info, err := fs.Stat(fsys, name)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, false
		}
		if err == nil {
			text, err = r.read(name, info)
		}
		if err != nil {
			p.lost("/"+name, 0, "", "", "the file is not read: %s", reason(err))
		}
		found = true
		return text, err == nil
	}
	h := &Hosts{}
	for name, to := range map[string]**hostsaccess.Table{"etc/hosts.allow": &h.Allow, "etc/hosts.deny": &h.Deny} {
		if text, ok := read(name); ok {
			*to = hostsaccess.Parse("/"+name, text)
		} else if _, err := fs.Stat(fsys, name); err == nil {
			*to = &hostsaccess.Table{Name: "/" + name, Unreadable: true}
		}
	}
	if text, err := r.bounded("etc/services"); err == nil {
		p.netdb, _ = netdb.ParseServices(text)
	}
	p.zone = hostZone(fsys)
	p.group, _ = r.bounded("etc/group") // without it, groups are not looked up
	t := h.tables()
	var sources []inetd.Source
	for _, name := range append([]string{"etc/inetd.conf"}, regular(fsys, "etc/inetd.d")...) {
		if text, ok := read(name); ok {
			sources = append(sources, inetd.Source{Name: "/" + name, Data: text})
		}
	}
	if len(sources) > 0 {
		p.daemonOptions(read)
		p.inetd(sources, "", t)
	}
	if _, err := fs.Stat(fsys, "etc/xinetd.conf"); err == nil {
		found = true
		p.xinetd(fsys, []string{"/etc/xinetd.conf"}, t)
	}
	if units := p.perConnection(SystemdUnits(fsys, unitDirs)); len(units) > 0 {
		found = true
		p.systemd(units)
	}
	if !found {
		return nil, errors.New("import host: there is no inetd.conf, xinetd.conf, hosts.allow, hosts.deny, or enabled socket unit")
	}
	p.tablesDone(t)
	return p.result()
}

// hostZone is the zone of a host's clocks, by what /etc/localtime leads to; "" is not known.
func hostZone(fsys fs.FS) string {
	to, err := fs.ReadLink(fsys, "etc/localtime")
	if errors.Is(err, fs.ErrNotExist) {
		return "UTC" // localtime(5)
	}
	_, name, _ := strings.Cut(to, "zoneinfo/")
	return name
}

// regular are the files of a directory.
func regular(fsys fs.FS, dir string) (out []string) {
	entries, _ := fs.ReadDir(fsys, dir) // one that is not there has none
	for _, e := range entries {
		if !e.IsDir() {
			out = append(out, dir+"/"+e.Name())
		}
	}
	return out
}

// daemonOptions reports how the host starts its inetd, where that changes what entries mean.
func (p *page) daemonOptions(read func(string) ([]byte, bool)) {
	for _, name := range []string{"etc/default/openbsd-inetd", "etc/default/inetutils-inetd"} {
		text, _ := read(name)
		for i, l := range strings.Split(string(text), "\n") {
			key, value, ok := strings.Cut(strings.TrimSpace(l), "=")
			if ok && strings.HasSuffix(key, "OPTIONS") && !strings.HasPrefix(key, "#") && strings.Trim(value, `"' `) != "" {
				instead := "write what they say into the services"
				for _, w := range strings.Fields(strings.Trim(value, `"' `)) {
					if strings.HasPrefix(w, "-") && strings.Contains(w, "l") && strings.Contains(name, "openbsd") {
						p.libwrap, instead = true, "but -l: hosts.allow and hosts.deny decide for every program that inetd starts for a client"
					}
				}
				p.lost("/"+name, i+1, l, instead, "options of inetd itself are not carried over")
			}
		}
	}
}

// perConnection are the socket units with Accept=yes, and their services.
func (p *page) perConnection(units []policy.SourceFile) (out []policy.SourceFile) {
	with := false // the last socket unit is one
	for _, f := range units {
		if strings.HasSuffix(f.Name, ".socket") {
			if _, with = SystemdService(f.Name, f.Data); !with {
				p.files = append(p.files, f.Name)
				p.note(f.Name, 1, "", "import systemd "+f.Name+" to have it", "the unit hands its sockets to one program, and stays with systemd")
			}
		}
		if with {
			out = append(out, f)
		}
	}
	return out
}
