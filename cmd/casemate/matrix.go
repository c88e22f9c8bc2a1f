package main

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"casemate/policy/calls"
	"casemate/policy/lang"
	"casemate/policy/peers"
	"casemate/sandbox/seccomp"
	"casemate/sandbox/seccomp/advise"
)

// callRow is one system call in profiles --matrix.
type callRow struct {
	Name string `json:"name"`
	// Profiles says of each shipped profile, and Peers of each list of others, whether it has the
	// call: yes, by argument or no.
	Profiles map[string]string `json:"profiles"`
	Peers    map[string]string `json:"peers"`
	// Groups have it, wholly or by argument; those of the profiles themselves are left out.
	Groups []string `json:"groups"`
	// Peril is what it is good for, of a call that no group has for that reason.
	Peril string `json:"peril,omitempty"`
}

// What a cell says.
const (
	cellYes  = "yes"
	cellSome = "by argument"
	cellNo   = "no"
)

// marks are the cells of the text.
var marks = map[string]string{cellYes: "+", cellSome: "~", cellNo: "."}

// matrix prints which shipped profile allows which call, beside what others allow; of the calls
// named, or of all that any of them has.
func (a *app) matrix(names []string) error {
	var columns []string
	has := map[string][]seccomp.Rule{} // of the columns' names
	for _, p := range lang.ShippedProfiles() {
		rules, err := calls.Resolve(&p.Syscalls)
		if err != nil {
			return err
		}
		has[p.Name] = rules
		if i := slices.IndexFunc(columns, func(c string) bool { return fmt.Sprint(has[first(c)]) == fmt.Sprint(rules) }); i >= 0 {
			columns[i] += "," + p.Name
		} else {
			columns = append(columns, p.Name)
		}
	}
	groups := slices.DeleteFunc(seccomp.Groups(), func(g string) bool { return listOf(g, has) })
	for _, name := range names {
		if _, ok := seccomp.Number(name); !ok {
			return fmt.Errorf("%q is not a system call: write its name as in syscalls(2)", name)
		}
	}
	rows := []callRow{}
	for _, name := range seccomp.Names() {
		if r := rowOf(name, has, groups); slices.Contains(names, name) || len(names) == 0 && r.had() {
			rows = append(rows, r)
		}
	}
	if a.json() {
		return a.printJSON(struct {
			FormatVersion int       `json:"format_version"`
			Calls         []callRow `json:"calls"`
		}{1, rows})
	}
	a.matrixText(columns, rows, len(names) == 0)
	return nil
}

// cell tells whether rules have a call.
func cell(rules []seccomp.Rule, name string) string {
	switch {
	case seccomp.Cover(rules, seccomp.Rule{Name: name}):
		return cellYes
	case seccomp.Allows(rules, seccomp.Rule{Name: name}):
		return cellSome
	}
	return cellNo
}

func rowOf(name string, has map[string][]seccomp.Rule, groups []string) callRow {
	r := callRow{Name: name, Profiles: map[string]string{}, Peers: map[string]string{}, Groups: []string{}, Peril: advise.Perilous(seccomp.Rule{Name: name})}
	for p, rules := range has {
		r.Profiles[p] = cell(rules, name)
	}
	for _, l := range peers.Lists {
		r.Peers[l.Name] = cellNo
		if whole, some := l.Has(name); some {
			r.Peers[l.Name] = cellSome
		} else if whole {
			r.Peers[l.Name] = cellYes
		}
	}
	for _, g := range groups {
		if cell(seccomp.GroupRules(g), name) != cellNo {
			r.Groups = append(r.Groups, g)
		}
	}
	return r
}

// first is the profile whose name begins a column's, which those that allow the same share.
func first(column string) string {
	name, _, _ := strings.Cut(column, ",")
	return name
}

// listOf tells whether a group is the list of the profile of its name: all that this has.
func listOf(g string, has map[string][]seccomp.Rule) bool {
	own, of := seccomp.GroupRules(g), has[strings.TrimPrefix(g, "@")]
	return len(of) > 0 && !slices.ContainsFunc(of, func(r seccomp.Rule) bool { return !seccomp.Cover(own, r) })
}

// had tells whether any profile or list has the call.
func (r *callRow) had() bool {
	for _, cells := range []map[string]string{r.Profiles, r.Peers} {
		for _, c := range cells {
			if c != cellNo {
				return true
			}
		}
	}
	return false
}

// matrixText prints the table, and below that of all calls how many each column has.
func (a *app) matrixText(columns []string, rows []callRow, all bool) {
	var b bytes.Buffer
	w := tabwriter.NewWriter(&b, 0, 0, 1, ' ', 0)
	line := func(first string, cells []string, last string) {
		fmt.Fprintf(w, "%s\t%s\t%s\n", first, strings.Join(cells, "\t"), last)
	}
	heads := slices.Clone(columns)
	for _, l := range peers.Lists {
		heads = append(heads, l.Name)
	}
	line("", heads, "")
	count := make([]int, len(heads))
	for i := range rows {
		r, cells := &rows[i], []string{}
		for k, head := range heads {
			c := r.Profiles[first(head)]
			if k >= len(columns) {
				c = r.Peers[head]
			}
			if c != cellNo {
				count[k]++
			}
			cells = append(cells, marks[c])
		}
		line(r.Name, cells, cmp.Or(strings.Join(r.Groups, " "), r.Peril, "by its name alone"))
	}
	if all {
		var sums []string
		for _, n := range count {
			sums = append(sums, fmt.Sprint(n))
		}
		line("", sums, "")
	}
	a.flush(w, &b)
	a.printf("\n+ with any arguments, ~ with some alone, . not. The last column has the groups that allow it, or why none does;\nunder the columns stands how many calls they have.\n")
	for _, l := range peers.Lists {
		a.printf("%s: %s.\n", l.Name, l.Source)
	}
}
