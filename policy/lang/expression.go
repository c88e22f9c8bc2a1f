package lang

import (
	"regexp"
	"sync"
)

// expression is a regular expression that is compiled when it is asked for first: nearly every one looks at what somebody wrote wrongly,
// and a run of casemate that meets nothing of the kind does not pay for it.
func expression(text string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(text) })
}
