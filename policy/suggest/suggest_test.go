package suggest

import "testing"

func TestWord(t *testing.T) {
	words := []string{"office", "anyone", "lan"}
	for in, want := range map[string]string{"ofice": "office", "offcie": "office", "lna": "lan", "zzz": "", "": "", "anyon": "anyone"} {
		if got := Word(in, words); got != want {
			t.Errorf("Word(%q) = %q, want %q", in, got, want)
		}
	}
}
