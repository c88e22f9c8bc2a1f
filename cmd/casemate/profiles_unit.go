package main

import (
	"casemate/policy/unit"
)

// units prints the systemd units of profiles.
func (a *app) units(chosen []profile) error {
	var all []unit.Unit
	for i := range chosen {
		units, err := unit.Units(&chosen[i].Profile)
		if err != nil {
			return err
		}
		all = append(all, units...)
	}
	return a.printUnits(all)
}

// printUnits prints units, each below the name of its file as systemctl cat has it.
func (a *app) printUnits(all []unit.Unit) error {
	if a.json() {
		return a.printJSON(struct {
			FormatVersion int         `json:"format_version"`
			Units         []unit.Unit `json:"units"`
		}{1, all})
	}
	for i, u := range all {
		if i > 0 {
			a.printf("\n")
		}
		a.printf("# /etc/systemd/system/%s\n%s", u.Name, u.Text)
	}
	return nil
}
