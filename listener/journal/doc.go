// Package journal is the log: its record types, the one writer, and the rate
// bucket that keeps what a flood can make it write within bounds. The broker, the
// built-in worker and the log worker write through it, so that one thing has one
// form whoever tells of it. `casemate help log` documents the fields; a test there
// holds its table against these types.
//
// Only the broker holds the log's file. What a worker has to say comes to it in
// whole lines over the log worker's socket and is put between its own as it is:
// the broker reads none of it but its length and its last byte. So no worker can
// overwrite or cut what is written, two of them cannot write into one another's
// lines however slow the reader is, and a log that moves is opened again in one
// place. A line that a worker forges is still a line of the log.
package journal

// FormatVersion is in every record. It changes when a field changes its meaning,
// its type or its name, or goes; not when one comes.
const FormatVersion = 1
