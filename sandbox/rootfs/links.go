package rootfs

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"casemate/sandbox/hostpath"
)

// link is a symbolic link met on the way to a source: its real path and text.
type link = hostpath.Link

// addLinks notes every link, asked for or met on the host.
func (l *Layout) addLinks(e *Entry, h *hostpath.File, _ int) error {
	all := h.Links
	if e.Kind == Symlink {
		all = []link{{Path: e.Path, Text: e.Text}}
	}
	for _, k := range all {
		if have, ok := l.links[k.Path]; ok && have != k.Text {
			return fmt.Errorf("link %s would point to both %s and %s", k.Path, have, k.Text)
		}
		l.links[k.Path] = k.Text
	}
	return nil
}

// placeLinks creates the links of e.
func (l *Layout) placeLinks(e *Entry, h *hostpath.File, _ int) error {
	if e.Kind == Symlink {
		return l.placeLink(link{Path: e.Path, Text: e.Text}, false)
	}
	for _, k := range h.Links {
		if err := l.placeLink(k, true); err != nil {
			return err
		}
	}
	return nil
}

// placeLink creates a link that was asked for, or one that was met on the host.
func (l *Layout) placeLink(k link, met bool) error {
	p, err := l.through(k.Path)
	if err != nil {
		return err
	}
	if p != k.Path {
		return fmt.Errorf("link %s lies behind another link", k.Path)
	}
	if m, ok := l.around(k.Path); ok {
		if met {
			return nil // the bind shows the host's own link
		}
		return fmt.Errorf("link %s lies inside the bind %s, where nothing can be created", k.Path, m.path)
	}
	return l.create(k.Path, node{kind: Symlink, text: k.Text})
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
		if p[i] != '/' {
			continue
		}
		text, ok := l.links[p[:i]]
		if !ok {
			continue
		}
		if !strings.HasPrefix(text, "/") {
			text = path.Join(path.Dir(p[:i]), text)
		}
		return path.Join(text, p[i:]), true
	}
	return p, false
}
