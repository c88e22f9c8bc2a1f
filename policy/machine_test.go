package policy_test

import (
	"fmt"
	"strings"
	"testing"

	"casemate/policy/canon"
	"casemate/policy/granted"
	"casemate/sandbox/machine"
)

// TestAnotherArchitecture: a document holds numbers of system calls, which are other calls elsewhere. One
// that was compiled there is refused, with what to do.
func TestAnotherArchitecture(t *testing.T) {
	text, err := canon.Encode(sample())
	if err != nil {
		t.Fatal(err)
	}
	own := fmt.Sprintf("%q:%q,", "machine", machine.Compiled)
	if machine.Compiled == "" { // says nothing, as documents before there was another
		own = ""
	}
	if !strings.HasPrefix(string(text), `{"granted":{`+own+`"profiles":`) {
		t.Fatalf("it begins with %.60s", text)
	}
	for _, other := range []string{"", "arm64", "sparc"} {
		said := fmt.Sprintf(`"machine":%q,`, other)
		if other == "" {
			said = ""
		}
		there := []byte(strings.NewReplacer(own+`"profiles":`, said+`"profiles":`, own+`"on_stop":`, said+`"on_stop":`).Replace(string(text)))
		_, err := granted.Decode(granted.Frame(granted.Digest(there), there, []byte("{}")))
		switch {
		case other == machine.Compiled && err != nil:
			t.Errorf("compiled here: %v", err)
		case other != machine.Compiled && (err == nil || !strings.Contains(err.Error(), "compiled on another architecture") || !strings.Contains(err.Error(), "compile it here")):
			t.Errorf("compiled for %q, on %s: %v", other, machine.Name, err)
		}
	}
}
