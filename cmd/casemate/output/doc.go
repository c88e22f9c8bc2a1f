// Package output writes what a verb found in the forms that people and other programs
// read: text, JSON, Markdown for a review comment, SARIF for code scanning, annotations of
// GitHub, and JUnit. What a policy chose is escaped for each of them, so that no name
// forges a heading, an annotation or an element.
package output

import (
	"fmt"
	"slices"
	"strings"
)

// Format is a word of -o and of --output-into.
type Format string

// The formats, in the order in which they are listed.
const (
	Text     Format = "text"
	JSON     Format = "json"
	Markdown Format = "markdown"
	SARIF    Format = "sarif"
	GitHub   Format = "github"
	JUnit    Format = "junit"
	HTML     Format = "html"
)

// Plain are the formats of a verb that names none.
var Plain = []Format{Text, JSON}

// All are all formats.
var All = []Format{Text, JSON, Markdown, SARIF, GitHub, JUnit, HTML}

// Check says of a word that is none of formats which ones there are.
func Check(word string, formats []Format) error {
	if slices.Contains(formats, Format(word)) {
		return nil
	}
	return fmt.Errorf("output %q is not known: write %s", word, Words(formats))
}

// Words lists formats for people: "text, json or sarif".
func Words(formats []Format) string {
	var words []string
	for _, f := range formats {
		words = append(words, string(f))
	}
	if n := len(words); n > 1 {
		return strings.Join(words[:n-1], ", ") + " or " + words[n-1]
	}
	return strings.Join(words, "")
}
