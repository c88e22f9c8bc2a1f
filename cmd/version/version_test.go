package version

import "testing"

func TestChoose(t *testing.T) {
	for _, c := range []struct{ linked, built, archived, commit, want string }{
		{"1.2.3", "v0.0.0-2026", "v1.2.2", "0123456789abcdef", "1.2.3"},
		{"", "v1.2.3+dirty", archived, archivedCommit, "v1.2.3+dirty"},
		{"", "(devel)", "v1.2.2-3-g0123456789ab", "0123456789abcdef", "v1.2.2-3-g0123456789ab"},
		{"", "(devel)", "", "0123456789abcdef", "0123456789ab"},
		{"", "(devel)", "$Format:%(describe)$", "$Format:%H$", "devel"},
		{"", "", "", "", "devel"},
	} {
		if got := choose(c.linked, c.built, c.archived, c.commit); got != c.want {
			t.Errorf("%+v: %q", c, got)
		}
	}
}
