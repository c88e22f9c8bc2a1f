// Package suggest finds what somebody meant who wrote a word that is not known.
package suggest

// Word returns the word nearest to s by edit distance, or "" when none is
// near enough to be a slip of the pen: one edit for short words, up to a third
// of the letters for long ones. Between equals, a word with the same first
// letter wins: people seldom get that one wrong.
func Word(s string, words []string) string {
	limit := max(1, len(s)/3)
	best, word := 2*(limit+1), ""
	for _, w := range words {
		if len(w)-len(s) > limit || len(s)-len(w) > limit || len(s) > 255 {
			continue
		}
		d := 2 * distance(s, w)
		if s == "" || w == "" || s[0] != w[0] {
			d++
		}
		if d < best {
			best, word = d, w
		}
	}
	return word
}

// distance is the Levenshtein distance with a swap of neighbours as one edit
// (the restricted Damerau form), over bytes.
func distance(a, b string) int {
	before, prev, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(prev[j]+1, row[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, prev, row = prev, row, before
	}
	return prev[len(b)]
}
