package need

import (
	"os"
	"strconv"
)

// Rounds is how often a test with random cases tries them: few, or as often as CASEMATE_RANDOM says.
func Rounds(few int) int {
	if n, err := strconv.Atoi(os.Getenv("CASEMATE_RANDOM")); err == nil {
		return n
	}
	return few
}
