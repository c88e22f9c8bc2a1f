package warden

import "testing"

// TestResumesOverMoreThanOne: what was in force is what a broker loads first that follows another one, also where one in between has ended
// before it had loaded it. The files may be broken by then, and nobody has asked for them.
func TestResumesOverMoreThanOne(t *testing.T) {
	doc, w := numbered(t, 1), newWarden(t)
	b := w.newBroker(BrokerConfig{})
	b.docs[doc.Digest] = doc
	if _, _, err := b.do(Asked{Do: DoForce, Digest: doc.Digest, Name: "start"}, nil); err != nil {
		t.Fatal(err)
	}
	for n := range 3 {
		next := w.newBroker(BrokerConfig{})
		b.errand = -1
		next.inherit(b)
		b = next
		a, files, err := b.do(Asked{Do: DoCompile}, nil)
		if err != nil || a.Same || len(files) != 1 || b.newest != doc.Digest {
			t.Fatalf("broker %d compiles %q: %v", n+2, b.newest, err)
		}
		CloseAll(files)
	}
}
