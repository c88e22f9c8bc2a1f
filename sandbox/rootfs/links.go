package rootfs

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"casemate/sandbox/hostpath"
)

// linksOf are the symbolic links of e: the one asked for, or those met on the host.
func linksOf(e *Entry, h *hostpath.File) []hostpath.Link {
	if e.Kind == Symlink {
		return []hostpath.Link{{Path: e.Path, Text: e.Text}}
	}
	return h.Links
}

// addLinks notes every link.
func (l *Layout) addLinks(e *Entry, h *hostpath.File, _ int) error {
	for _, k := range linksOf(e, h) {
		if have, ok := l.links[k.Path]; ok && have != k.Text {
			return fmt.Errorf("link %s would point to both %s and %s", k.Path, have, k.Text)
		}
		l.links[k.Path] = k.Text
	}
	return nil
}

// placeLinks creates them. Of one that was met in a bind, that shows the host's own.
func (l *Layout) placeLinks(e *Entry, h *hostpath.File, _ int) error {
	for _, k := range linksOf(e, h) {
		p, err := l.through(k.Path)
		m, inside := l.around(k.Path)
		switch {
		case err == nil && p != k.Path:
			err = fmt.Errorf("link %s lies behind another link", k.Path)
		case err == nil && inside && e.Kind == Symlink:
			err = fmt.Errorf("link %s lies inside the bind %s, where nothing can be created", k.Path, m.path)
		case err == nil && !inside:
			err = l.create(k.Path, node{kind: Symlink, text: k.Text})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// through replaces links among the directories on the way to p.
func (l *Layout) through(p string) (string, error) {
	for range hostpath.MaxLinks {
		q, found := l.step(p)
		if !found {
			return p, nil
		}
		p = q
	}
	return "", errors.New("too many levels of symbolic links")
}

// step replaces the first link among the directories on the way to p.
func (l *Layout) step(p string) (string, bool) {
	for i := 1; i < len(p); i++ {
		text, ok := l.links[p[:i]]
		if p[i] != '/' || !ok {
			continue
		}
		if !strings.HasPrefix(text, "/") {
			text = path.Join(path.Dir(p[:i]), text)
		}
		return path.Join(text, p[i:]), true
	}
	return p, false
}
