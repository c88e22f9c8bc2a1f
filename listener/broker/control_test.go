package broker

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"casemate/policy"
	"casemate/policy/canon"
	"casemate/policy/control"
)

func TestControl(t *testing.T) {
	g, port := newRig(t), freePort(t)
	g.load(svc("cat", "tcp", port, "/bin/cat"))
	var rest []byte
	ask := func(request string) (a control.Response) {
		t.Helper()
		c, err := net.Dial("unix", g.path)
		if os.Geteuid() != 0 && err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.Write([]byte(request + "\n"))
		text, err := io.ReadAll(c)
		if err != nil {
			t.Fatal(err)
		}
		text, rest, _ = bytes.Cut(text, []byte("\n"))
		if err := json.Unmarshal(text, &a); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		return a
	}
	if a := ask(`{"format_version":1,"verb":"status"}`); !a.OK || len(a.Status.Services) != 1 || a.Digest != g.doc.Digest {
		t.Errorf("%+v", a)
	}
	if len(rest) > 0 {
		t.Errorf("after the status follows %q", rest)
	}
	for request, live := range map[string]bool{`"service":"cat","client":"192.0.2.1"`: true, `"service":"dog","client":"::1"`: false, `"client":""`: false} {
		a := ask(`{"format_version":1,"verb":"document",` + request + `}`)
		doc, err := canon.DecodeDocument(rest)
		if !a.OK || err != nil || doc.Digest != g.doc.Digest || a.Digest != doc.Digest || (a.Live != nil) != live {
			t.Errorf("%s: %+v, %v", request, a, err)
		}
		if live && (a.Live.Refusal != "" || len(a.Live.Listeners) != 1 || a.Live.Listeners[0].State != "listening") {
			t.Errorf("%s: %+v", request, a.Live)
		}
	}
	if a := ask(`{"format_version":1,"verb":"reload"}`); !a.OK || a.Digest != g.doc.Digest {
		t.Errorf("%+v", a)
	}
	for _, bad := range []string{`{}`, `x`, `{"format_version":1,"verb":"halt"}`, `{"format_version":1,"verb":"status","x":1}`,
		`{"format_version":1,"verb":"explain","service":"cat","client":"::1"}`, `{"format_version":1,"verb":"document","service":"cat","client":"x"}`,
		`{"format_version":1,"verb":"status","service":"dog"}`, strings.Repeat(" ", maxRequest+10)} {
		if a := ask(bad); a.OK || a.Error == "" {
			t.Errorf("%.40s: %+v", bad, a)
		}
	}
}

// asksControl puts a request to the control socket.
func (g *rig) asksControl(request string) net.Conn {
	g.t.Helper()
	c, err := net.Dial("unix", g.path)
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := c.Write([]byte(`{"format_version":1,` + request + "}\n")); err != nil {
		g.t.Fatal(err)
	}
	return c
}

// TestDocumentWaitsAlone: while one client is sent a document, and does not read
// it, others ask for the state, and connections are served.
func TestDocumentWaitsAlone(t *testing.T) {
	g, port := newRig(t), freePort(t)
	g.load(svc("cat", "tcp", port, "/bin/cat"))
	g.door.sending.Lock() // as for a client that does not read
	waiting := bufio.NewReader(g.asksControl(`"verb":"document","service":"cat","client":"192.0.2.1"`))
	if line, err := waiting.ReadString('\n'); err != nil || !strings.Contains(line, `"live"`) {
		t.Errorf("%q, %v", line, err)
	}
	if text, err := io.ReadAll(g.asksControl(`"verb":"status"`)); err != nil || !bytes.Contains(text, []byte(`"ok":true`)) {
		t.Errorf("%q, %v", text, err)
	}
	c := dial(t, port)
	if _, err := c.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
		t.Error(err)
	}
	g.door.sending.Unlock()
	text, err := io.ReadAll(waiting)
	if err != nil {
		t.Fatal(err)
	}
	if doc, err := canon.DecodeDocument(text); err != nil || doc.Digest != g.doc.Digest {
		t.Errorf("%v", err)
	}
}

// TestStatusBesideReloads: however many reloads wait for each other, who asks for
// less is answered.
func TestStatusBesideReloads(t *testing.T) {
	g := newRig(t)
	g.load(svc("cat", "tcp", freePort(t), "/bin/cat"))
	compile, hold := g.compile, make(chan struct{})
	g.compile = func(string) (*policy.Document, []policy.Diagnostic, error) { <-hold; return compile("") }
	g.door.loads = make(chan struct{}, 20)
	says := func(c net.Conn, want string) {
		t.Helper()
		if text, err := io.ReadAll(c); err != nil || !strings.Contains(string(text), want) {
			t.Errorf("%.200q, %v, want %s", text, err, want)
		}
	}
	var waiting []net.Conn
	for n := range cap(g.door.loads) {
		waiting = append(waiting, g.asksControl(`"verb":"reload"`))
		eventually(t, func() bool { return len(g.door.loads) == n+1 })
	}
	says(g.asksControl(`"verb":"status"`), `"ok":true`)
	says(g.asksControl(`"verb":"reload"`), "reloads are waiting")
	close(hold)
	for _, c := range waiting {
		says(c, `"ok":true`)
	}
}

// TestReloadsShareLoads: all who ask at once are answered, none refused, by the load under way
// and one more, and each is told of a load that began after it asked.
func TestReloadsShareLoads(t *testing.T) {
	g := newRig(t)
	g.load(svc("cat", "tcp", freePort(t), "/bin/cat"))
	old, loads, begun, hold := g.doc.Digest, 0, make(chan bool, 1), make(chan struct{})
	compile := g.compile
	g.compile = func(string) (*policy.Document, []policy.Diagnostic, error) {
		loads++ // loads run one after another
		doc, ds, err := compile("")
		if loads == 1 {
			begun <- true
			<-hold
		}
		return doc, ds, err
	}
	digest := func(c net.Conn) string {
		t.Helper()
		var a control.Response
		if err := json.NewDecoder(c).Decode(&a); err != nil || !a.OK {
			t.Fatalf("%+v, %v", a, err)
		}
		return a.Digest
	}
	first := g.asksControl(`"verb":"reload"`)
	<-begun // it has read the old policy
	g.setPolicy(svc("dog", "tcp", freePort(t), "/bin/cat"))
	var waiting []net.Conn
	for range 100 {
		waiting = append(waiting, g.asksControl(`"verb":"reload"`))
	}
	eventually(t, func() bool { return len(g.door.loads) == 1+len(waiting) })
	close(hold)
	if d := digest(first); d != old {
		t.Errorf("the first load is of %s, want the old policy %s", d, old)
	}
	for _, c := range waiting {
		if d := digest(c); d != g.doc.Digest {
			t.Errorf("told of %s, want the new policy %s", d, g.doc.Digest)
		}
	}
	if loads != 2 {
		t.Errorf("%d loads for %d who asked, want 2", loads, 1+len(waiting))
	}
}
