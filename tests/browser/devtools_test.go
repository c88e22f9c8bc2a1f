package browser

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"testing"
	"time"

	"casemate/tests/need"
)

// patience is how long an answer may take on a crowded machine.
const patience = 3 * time.Minute

// browser is a headless Chromium that is asked over a pipe (the DevTools protocol), with one page.
type browser struct {
	t       *testing.T
	to      *os.File
	from    *os.File
	read    *bufio.Reader
	last    int
	session string
}

// start starts one, which ends with the test.
func start(t *testing.T) *browser {
	t.Helper()
	program := need.Heavy(t, "chromium", "test-report")
	commands, to, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	from, answers, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "--headless", "--hide-scrollbars", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--remote-debugging-pipe",
		"--user-data-dir="+t.TempDir(), "about:blank")
	cmd.ExtraFiles = []*os.File{commands, answers} // as 3 and 4
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir())
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	commands.Close()
	answers.Close()
	b := &browser{t: t, to: to, from: from, read: bufio.NewReaderSize(from, 1<<20)}
	t.Cleanup(func() {
		_ = b.send("Browser.close", nil)
		to.Close() // at which it ends, whatever it is doing
		ended := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
		_ = cmd.Wait()
		ended.Stop()
		from.Close()
	})
	var made struct{ TargetID, SessionID string }
	b.ask("Target.createTarget", map[string]any{"url": "about:blank"}, &made)
	b.ask("Target.attachToTarget", map[string]any{"targetId": made.TargetID, "flatten": true}, &made)
	b.session = made.SessionID
	b.ask("Page.enable", nil, nil)
	return b
}

// send sends a command.
func (b *browser) send(method string, params map[string]any) error {
	b.last++
	message := map[string]any{"id": b.last, "method": method}
	if params != nil {
		message["params"] = params
	}
	if b.session != "" && method != "Browser.close" {
		message["sessionId"] = b.session
	}
	text, err := json.Marshal(message)
	if err == nil {
		_, err = b.to.Write(append(text, 0))
	}
	return err
}

// ask sends a command and takes its answer.
func (b *browser) ask(method string, params map[string]any, result any) {
	b.t.Helper()
	if err := b.send(method, params); err != nil {
		b.t.Fatalf("%s: %v", method, err)
	}
	if err := b.from.SetReadDeadline(time.Now().Add(patience)); err != nil {
		b.t.Fatal(err)
	}
	for {
		text, err := b.read.ReadBytes(0)
		if err != nil {
			b.t.Fatalf("%s: %v", method, err)
		}
		var answer struct {
			ID     int
			Result json.RawMessage
			Error  *struct{ Message string }
		}
		if err := json.Unmarshal(text[:len(text)-1], &answer); err != nil {
			b.t.Fatalf("%s: %v", method, err)
		}
		switch {
		case answer.ID != b.last: // an event
			continue
		case answer.Error != nil:
			b.t.Fatalf("%s: %s", method, answer.Error.Message)
		case result != nil:
			if err := json.Unmarshal(answer.Result, result); err != nil {
				b.t.Fatalf("%s: %v", method, err)
			}
		}
		return
	}
}

// eval gives what an expression of JavaScript comes to, which the page's own rules do not stop.
func (b *browser) eval(expression string, result any) {
	b.t.Helper()
	var answer struct {
		Result           struct{ Value json.RawMessage }
		ExceptionDetails *struct{ Exception struct{ Description string } }
	}
	b.ask("Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true, "awaitPromise": true}, &answer)
	if answer.ExceptionDetails != nil {
		b.t.Fatalf("%s: %s", expression, answer.ExceptionDetails.Exception.Description)
	}
	if err := json.Unmarshal(answer.Result.Value, result); err != nil {
		b.t.Fatalf("%s: %v", expression, err)
	}
}

// show has the page be as wide as a device, in a scheme (light or dark) and on a medium (screen or print).
func (b *browser) show(width int, scheme, medium string) {
	b.t.Helper()
	b.ask("Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": 1800, "deviceScaleFactor": 1, "mobile": width < 700}, nil)
	b.ask("Emulation.setEmulatedMedia", map[string]any{"media": medium, "features": []map[string]string{{"name": "prefers-color-scheme", "value": scheme}}}, nil)
}

// open loads a file, until all of it is there.
func (b *browser) open(path string) {
	b.t.Helper()
	b.ask("Page.navigate", map[string]any{"url": "file://" + path}, nil)
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		var there bool
		b.eval(`document.readyState === "complete" && location.pathname === "`+path+`"`, &there)
		if there {
			return
		}
		if time.Now().After(deadline) {
			b.t.Fatalf("%s is not loaded", path)
		}
	}
}
