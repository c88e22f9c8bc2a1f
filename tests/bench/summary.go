package main

import (
	"fmt"
	"slices"
)

// summary is the one table of a run: a column for each peer that any row asked.
func (rs results) summary(note string) *table {
	var peers []string
	for _, r := range rs {
		for _, p := range r.Peers {
			if !slices.Contains(peers, p.Name) {
				peers = append(peers, p.Name)
			}
		}
	}
	t := &table{title: "Summary", note: note, head: slices.Concat([]string{"work", "ours"}, peers, []string{"floor", "against", "ratio", "spread", "aim", "met"})}
	for _, r := range rs {
		row := []string{r.Work + ", " + r.Unit, short(r.Ours)}
		for _, name := range peers {
			cell := "-"
			for _, p := range r.Peers {
				if p.Name == name {
					cell = short(p.Value)
				}
			}
			row = append(row, cell)
		}
		t.rows = append(t.rows, append(row, r.verdict()...))
	}
	return t
}

// verdict is the row's cells from the floor on.
func (r result) verdict() []string {
	floor, against, ratio, spread := "-", "-", "-", "-"
	if r.Floor != nil {
		floor = short(*r.Floor)
	}
	if r.Ratio != nil {
		against, ratio, spread = r.Against, fmt.Sprintf("%.2f", r.Ratio.Ratio), fmt.Sprintf("%.2f..%.2f", r.Ratio.Low, r.Ratio.High)
	}
	held, word := "-", "-"
	if r.Aim != nil {
		held, word = r.Aim.String(), "**no**"
		if met, _ := r.met(); met {
			word = "yes"
		}
		if r.doubtful() {
			word += "?"
		}
	}
	return []string{floor, against, ratio, spread, held, word}
}

func (a aim) String() string {
	if a.Least != nil {
		return fmt.Sprintf("at least %v", *a.Least)
	}
	return fmt.Sprintf("at most %v", *a.Most)
}

// short writes a figure with as many digits as anybody reads.
func short(v float64) string {
	switch {
	case v == float64(int64(v)) || v >= 100 || v <= -100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10 || v <= -10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.3g", v)
}
