// Package logline shows tests what a record of the log looks like.
package logline

import (
	"bytes"
	"time"

	"casemate/listener/journal"
)

// Of is r as it stands in the log, without a priority.
func Of(r journal.Record) []byte {
	var b bytes.Buffer
	w := journal.New(&b, false)
	w.Now(r)
	w.Close(time.Minute)
	return b.Bytes()
}
