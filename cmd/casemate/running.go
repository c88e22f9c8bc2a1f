package main

import (
	"fmt"

	"casemate/policy"
	"casemate/policy/calls"
	"casemate/policy/canon"
	"casemate/policy/control"
)

// runningDocument asks casemated for the policy that it runs, and holds that to its digest and to
// its own words. The answer has what q asks for beside it: with a service and a client, Live.
func (a *app) runningDocument(q control.Request) (*policy.Document, *control.Response, error) {
	q.Verb = control.VerbDocument
	resp, text, err := a.askAll(q)
	if err != nil {
		return nil, nil, err
	}
	doc, err := canon.DecodeDocument(text)
	if err == nil {
		err = calls.Verify(doc.Policy)
	}
	if err == nil && resp.Digest != "" && doc.Digest != resp.Digest {
		err = fmt.Errorf("it says %s and sent %s", resp.Digest, doc.Digest)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("ask casemated: read the policy: %w", err)
	}
	return doc, resp, nil
}
