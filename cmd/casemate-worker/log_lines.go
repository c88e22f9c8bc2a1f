package main

import "bytes"

// maxLine is the longest line of a record, in bytes before quoting. A longer one
// goes on in the next record.
const maxLine = 4096

// lines cuts one session's stderr into lines: one may come in many pieces, many in one.
type lines struct {
	rest []byte // the begun line, shorter than maxLine
}

// add calls emit for every line that data completes. emit must not keep its argument.
func (l *lines) add(data []byte, emit func(line []byte)) {
	for len(data) > 0 {
		end := bytes.IndexByte(data, '\n')
		part, whole := data, false
		if end >= 0 {
			part, whole = data[:end], true
		}
		if room := maxLine - len(l.rest); len(part) > room || len(part) == room && !whole {
			l.rest = append(l.rest, part[:room]...)
			data = data[room:]
			l.flush(emit)
			continue
		}
		if whole && len(l.rest) == 0 {
			data = data[end+1:]
			emit(bytes.TrimSuffix(part, []byte{'\r'}))
			continue
		}
		l.rest = append(l.rest, part...)
		if !whole {
			return
		}
		data = data[end+1:]
		emit(bytes.TrimSuffix(l.rest, []byte{'\r'}))
		l.rest = l.rest[:0]
	}
}

// flush emits the begun line, if there is one.
func (l *lines) flush(emit func(line []byte)) {
	if len(l.rest) > 0 {
		emit(l.rest)
		l.rest = nil
	}
}
