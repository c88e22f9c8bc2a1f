package policy_test

import (
	"fmt"
	"strings"
	"testing"

	"casemate/policy"
	"casemate/policy/canon"
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
	if !strings.HasPrefix(string(text), `{"edition":1,`+own+`"on_stop":`) {
		t.Fatalf("it begins with %.60s", text)
	}
	for _, other := range []string{"", "arm64", "sparc"} {
		said := fmt.Sprintf(`"machine":%q,`, other)
		if other == "" {
			said = ""
		}
		there := strings.Replace(string(text), own+`"on_stop":`, said+`"on_stop":`, 1)
		_, err := policy.DecodeDocument(fmt.Appendf(nil, `{"format_version":1,"digest":%q,"policy":%s,"origins":{}}`, policy.Digest([]byte(there)), there))
		switch {
		case other == machine.Compiled && err != nil:
			t.Errorf("compiled here: %v", err)
		case other != machine.Compiled && (err == nil || !strings.Contains(err.Error(), "compiled on another architecture") || !strings.Contains(err.Error(), "compile it here")):
			t.Errorf("compiled for %q, on %s: %v", other, machine.Name, err)
		}
	}
}
