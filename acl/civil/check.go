package civil

import (
	"fmt"

	"casemate/acl"
)

// maxOffset is more than the clocks of any place are from UTC, in seconds.
const maxOffset = 26 * 60 * 60

// CheckZone fails if z is not what a zone must be; nil is UTC.
func CheckZone(z *acl.Zone) error {
	if z == nil {
		return nil
	}
	last := acl.Change{-1 << 62, z.Offset}
	for _, c := range append([]acl.Change{last}, z.Changes...) {
		if c[0] < last[0] || c[1] > maxOffset || c[1] < -maxOffset {
			return fmt.Errorf("the change at %d to %d seconds is out of order, or no offset", c[0], c[1])
		}
		last = c
	}
	return nil
}

// CheckSpans fails if list is not in order, or reaches beyond the week.
func CheckSpans(list []acl.Span) error {
	last := 0
	for _, s := range list {
		if s[0] < last || s[1] <= s[0] || s[1] > acl.Week {
			return fmt.Errorf("minutes %d to %d are out of order, or of no week", s[0], s[1])
		}
		last = s[1]
	}
	return nil
}
