// Package version holds the one word that says which casemate this is, the same
// in every binary.
package version

import (
	"runtime/debug"
	"strings"
)

// linked is for whoever builds without version control: make build VERSION=1.2.3.
var linked string

// archived is filled in by git archive (.gitattributes), for builds from a tarball.
const archived = "$Format:%(describe:tags=true,abbrev=12)$"

// archivedCommit is the same for a history without tags.
const archivedCommit = "$Format:%H$"

// Word is the tag that was built, or the commit; "devel" when nobody knows.
func Word() string {
	built := ""
	if info, ok := debug.ReadBuildInfo(); ok {
		built = info.Main.Version // from version control, or from the module proxy
	}
	return choose(linked, built, archived, archivedCommit)
}

func choose(linked, built, archived, commit string) string {
	for _, word := range []string{linked, strings.TrimSuffix(built, "(devel)"), archived, commit[:min(12, len(commit))]} {
		if word != "" && !strings.HasPrefix(word, "$Format") {
			return word
		}
	}
	return "devel"
}
