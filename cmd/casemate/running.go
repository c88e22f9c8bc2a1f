package main

import (
	"fmt"

	"casemate/policy"
	"casemate/policy/calls"
	"casemate/policy/control"
)

// runningDocument asks casemated for the policy that it runs, and holds that to its digest and to
// its own words, or the blocks of it that are named in only. The answer has what q asks for beside it: with a service and a client, Live.
func (a *app) runningDocument(q control.Request, only ...string) (*policy.Document, *control.Response, error) {
	q.Verb = control.VerbDocument
	resp, text, err := a.askAll(q)
	if err != nil {
		return nil, nil, err
	}
	doc, err := decoded(text, only, calls.Verify)
	if err == nil && resp.Digest != "" && doc.Digest != resp.Digest {
		err = fmt.Errorf("it says %s and sent %s", resp.Digest, doc.Digest)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("ask casemated: read the policy: %w", err)
	}
	return doc, resp, nil
}

// documentOf is the policy at the paths, or without any the one that casemated runs.
// Of a compiled one the blocks named in only do.
func (a *app) documentOf(paths []string, only ...string) (*policy.Document, error) {
	if len(paths) == 0 {
		doc, _, err := a.runningDocument(control.Request{}, only...)
		return doc, err
	}
	doc, ds, _ := a.load(paths, only...)
	if doc == nil {
		return nil, a.refuse(ds, nil)
	}
	return doc, nil
}
