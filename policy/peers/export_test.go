package peers

import "slices"

// Calls are all of the list, in no order.
func (l *List) Calls() []string { return slices.Concat(l.whole, l.some) }
