package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// table is one markdown table of the report.
type table struct {
	title string
	note  string
	head  []string
	rows  [][]string
}

// add appends one row; every value is printed with %v.
func (t *table) add(cells ...any) {
	row := make([]string, len(cells))
	for i, c := range cells {
		row[i] = fmt.Sprint(c)
	}
	t.rows = append(t.rows, row)
}

// print writes the table as markdown: the first column left, the others right.
func (t *table) print(w io.Writer) {
	fmt.Fprintf(w, "\n### %s\n\n", t.title)
	if t.note != "" {
		fmt.Fprintf(w, "%s\n\n", t.note)
	}
	fmt.Fprintf(w, "| %s |\n", strings.Join(t.head, " | "))
	fmt.Fprintf(w, "|---|%s\n", strings.Repeat("---:|", len(t.head)-1))
	for _, r := range t.rows {
		fmt.Fprintf(w, "| %s |\n", strings.Join(r, " | "))
	}
}

// goal is one promise with a number: what was asked, what was measured.
type goal struct {
	text string
	got  string
	met  bool
}

// goals collects the promises over a run; main prints them last.
type goals []goal

// check notes one promise.
func (g *goals) check(met bool, got, format string, args ...any) {
	*g = append(*g, goal{fmt.Sprintf(format, args...), got, met})
}

// print writes the promises as a markdown table and tells whether all were met.
func (g goals) print(w io.Writer) bool {
	t := table{title: "Goals", head: []string{"goal", "measured", "met"}}
	all := true
	for _, x := range g {
		word := "yes"
		if !x.met {
			word, all = "**no**", false
		}
		t.add(x.text, x.got, word)
	}
	t.print(w)
	return all
}

// median of the values; 0 of none. It does not change its argument.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	v := slices.Clone(values)
	slices.Sort(v)
	if n := len(v); n%2 == 0 {
		return (v[n/2-1] + v[n/2]) / 2
	}
	return v[len(v)/2]
}
