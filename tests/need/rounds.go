package need

import (
	"math/rand/v2"
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

// Random is where a test's random cases come from: the same ones in each run, or those of another
// CASEMATE_RANDOM_SEED. The stream tells tests apart.
func Random(stream uint64) *rand.Rand {
	seed, _ := strconv.ParseUint(os.Getenv("CASEMATE_RANDOM_SEED"), 10, 64) // 0 where nobody says one
	return rand.New(rand.NewPCG(seed, stream))
}
