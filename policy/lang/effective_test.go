package lang

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"casemate/policy"
	"casemate/policy/input"
	"casemate/sandbox"
)

// TestEffectiveIsTheSame: what is printed of a profile compiles to the same profile, is in
// Format's form, and has an origin on every line that grants something: of every shipped
// profile, of every profile of the examples, and of those that only a chain of blocks can say.
func TestEffectiveIsTheSame(t *testing.T) {
	seen, twoBlocks := map[string]bool{}, 0
	try := func(where string, p *sandbox.Profile, origins policy.Origins) {
		name := "my_" + p.Name
		text, err := Effective(p, name, func(path string) string { return origins.Lookup("profiles." + p.Name + "." + path) })
		if err != nil {
			t.Errorf("%s: %v\n%s", where, err, text)
			return
		}
		got, err := compileProfile(text, name, map[string]resolution{})
		if err != nil || !sameProfile(p, got) {
			t.Errorf("%s: %s: another profile (%v):\n%s\nwant %s\nhave %s", where, p.Name, err, text, substance(p, nil), substance(got, nil))
		}
		if again, _ := Format(policy.SourceFile{Name: name, Data: text}); string(again) != string(text) {
			t.Errorf("%s: %s is not formatted:\n%s", where, p.Name, text)
		}
		for line := range strings.Lines(string(text)) {
			granted := strings.Contains(line, " = ") && !strings.Contains(line, "base ") && !strings.Contains(line, "widens ") && !strings.HasSuffix(line, "[\n")
			inRule := strings.Contains(line, "arg ") || strings.Contains(line, "mask ") || strings.Contains(line, "values = ")
			if granted && !inRule && !strings.Contains(line, " # ") {
				t.Errorf("%s: %s: no origin in %q", where, p.Name, line)
			}
		}
		seen[where] = true
		if where == "chains" {
			twoBlocks += strings.Count(string(text), "_below\" {")
		}
	}
	shippedOrigins := ShippedOrigins()
	for _, p := range ShippedProfiles() {
		try("shipped", &p, shippedOrigins)
	}
	for where, files := range policies(t) {
		doc, ds := Compile(files)
		if doc == nil {
			t.Errorf("%s: %+v", where, ds)
			continue
		}
		for i := range doc.Policy.Profiles {
			try(where, &doc.Policy.Profiles[i], doc.Origins)
		}
	}
	if len(seen) < 5 || twoBlocks != 2 {
		t.Errorf("of %v, %d of the chains in two blocks, not of the examples and 2", seen, twoBlocks)
	}
}

// policies are the directories of the examples, and chains of profiles that no single block can say.
func policies(t *testing.T) map[string][]policy.SourceFile {
	out := map[string][]policy.SourceFile{"chains": {{Name: "chains.cm.hcl", Data: []byte(chains)}}}
	err := filepath.WalkDir("../../examples", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, input.SourceSuffix) && !input.IsTable(path) {
			return err
		}
		data, err := os.ReadFile(path)
		out[filepath.Dir(path)] = append(out[filepath.Dir(path)], policy.SourceFile{Name: path, Data: data})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if doc, ds := Compile(out["chains"]); doc == nil {
		t.Fatalf("%+v", ds)
	}
	return out
}

// chains has a bound of cgroup's that a child gives something else up for, sockets before the
// host's network, what a child takes back, and text that means something to HCL.
const chains = `
policy { edition = 1 }
profile "bounded" {
  base = profile.line
  resources { memory = "1048577B" }
}
profile "given_up" {
  base        = profile.bounded
  best_effort = ["landlock.net"]
}
profile "bounded_login" {
  base = profile.login
  resources { memory = "64MiB" }
}
profile "socketed" {
  widens = ["network"]
  network { sockets = ["unix"] }
}
profile "aired" {
  base    = profile.socketed
  widens  = ["network"]
  because = "it \"asks\" $${others} %%{if}"
  network {
    mode    = "host"
  }
}
profile "ported" {
  base    = profile.files
  widens  = ["network", "resources"]
  because = "it asks"
  network {
    mode    = "host"
    connect = [443, "8000-8010", 9]
    bind    = ["any"]
    sockets = ["udp"]
  }
  resources {
    tasks     = "unlimited"
    cpu       = "50%"
    cpu_time  = "90s"
    file_size = "123457B"
  }
}
profile "denied" {
  base = profile.server
  init = false
  syscalls {
    deny = ["@process"]
  }
  files {
    proc = false
    read = ["/srv/a b", "/srv/$${x}", "/srv/\"q\""]
    optional = ["/srv/a b"]
    tmp = "12345B"
  }
}
profile "elsewhere" {
  base   = profile.denied
  widens = ["files"]
  files {
    map = {
      "/"        = "/srv/other root"
      "/srv/a b" = "/srv/$${c}"
    }
  }
}
profile "returned" {
  base   = profile.denied
  widens = ["syscalls"]
  syscalls {
    allow = ["@process", "ptrace"]
    deny  = ["flock"]
    seal  = true
    rule "fcntl" {
      arg    = 1
      mask   = "0xff"
      values = [12, "0x22"]
    }
    rule "personality" {
      arg    = 0
      values = [0]
    }
  }
  because = "it follows"
}
profile "built" {
  base = profile.builtin
  user_namespace = true
}
`
