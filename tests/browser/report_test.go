// Package browser looks at casemate report's pages in a real browser.
package browser

import (
	"bytes"
	_ "embed"
	"encoding/base64"
	"fmt"
	"image"
	_ "image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"casemate/policy"
	"casemate/policy/lang"
	"casemate/policy/report"
	"casemate/policy/source"
	"casemate/tests/root/rig"
)

//go:embed look.js
var look string

// example is the page of an example, with what a change does in long words.
func example(t *testing.T, name string) []byte {
	t.Helper()
	files, err := source.Read(filepath.Join(rig.Top(t), "examples", name))
	if err != nil {
		t.Fatal(err)
	}
	return page(t, files)
}

func page(t *testing.T, files []policy.SourceFile) []byte {
	t.Helper()
	doc, ds := lang.Compile(files)
	if doc == nil {
		t.Fatal(ds)
	}
	long := strings.Repeat("long", 60)
	one := report.Finding{Code: "CM710", Severity: "notice", Summary: "a finding about " + long, Detail: long, Origin: long + ":1", Service: doc.Policy.Services[0].Name}
	waived := one
	waived.Severity, waived.Service, waived.Waived = "warning", "", &report.Waived{Reason: long, Expires: "2027-01-31", Origin: long}
	r, err := report.New(&report.Input{Doc: doc, Date: "2026-11-26", Of: []string{long}, Findings: []report.Finding{one, waived}, Against: &report.Against{
		Old: long, Digest: doc.Digest, Summary: "1 widened", Groups: []report.Group{{Verdict: "widened", Grave: true, Names: []string{long}, Origin: long, Dimensions: []report.Dimension{
			{Name: "reach", By: long, Lines: []report.Remark{{Sign: "+", Text: long, Proof: []string{"casemate explain " + long}, Why: long}, {Sign: "-", Text: "less"}, {Sign: "~", Text: "other"}, {Sign: ".", Text: "changed"}}, Calls: []string{long}}}}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := r.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// many is a policy of 40 services, which is more than a picture has rows for and than a page unfolds.
func many() []policy.SourceFile {
	var b strings.Builder
	b.WriteString("policy { edition = 1 }\n")
	for i := range 30 {
		fmt.Fprintf(&b, "acl \"a%d\" {\n  allow { from = [\"10.%d.0.0/16\", \"2001:db8:%x::/48\", \".example%d.org\"] }\n  default = \"deny\"\n}\n", i, i, i+0xa000, i)
	}
	for i := range 40 {
		fmt.Fprintf(&b, "service \"a-service-with-a-long-name-%d\" {\n  listen = [\"tcp://:%d\"]\n  command = [\"/bin/cat\"]\n  user = \"dynamic\"\n  acl = acl.a%d\n  profile = profile.line\n}\n", i, 2000+i, i*30/40)
	}
	return []policy.SourceFile{{Name: "many.cm.hcl", Data: []byte(b.String())}}
}

// TestReportLooks: at the width of a phone and of a desk, in light and in dark, nothing scrolls sideways, is cut, lies on
// something else or can hardly be read, and the page loads nothing.
func TestReportLooks(t *testing.T) {
	b := start(t)
	dir := t.TempDir()
	write := func(name string, text []byte) string {
		path := filepath.Join(dir, name+".html")
		if err := os.WriteFile(path, text, 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	wrong := func() (out []string) {
		b.eval(look, &out)
		return out
	}
	quick := example(t, "quickstart")
	for name, text := range map[string][]byte{"quickstart": quick, "legacy-host": example(t, "legacy-host"), "many": page(t, many())} {
		b.open(write(name, text))
		for _, width := range []int{390, 1280} {
			for _, scheme := range []string{"light", "dark"} {
				if name == "many" && (width == 390) != (scheme == "light") {
					continue // it takes long
				}
				b.show(width, scheme, "screen")
				if out := wrong(); len(out) > 0 {
					t.Errorf("%s, %d wide, %s:\n  %s", name, width, scheme, strings.Join(out, "\n  "))
				}
				b.margin(fmt.Sprintf("%s-%d-%s", name, width, scheme))
			}
		}
	}

	// What the checks are for they see.
	b.show(390, "light", "screen")
	for from, to := range map[string]string{
		"<h2>Overview": `<h2><code><nobr>` + strings.Repeat("wide", 50) + `</nobr></code>`,
		"</style>":     "p { color: #999 }</style>",
		"sha256-":      "sha256-AAAA", // which is another style's
	} {
		bad := bytes.Replace(quick, []byte(from), []byte(to), 1)
		if bytes.Equal(bad, quick) {
			t.Fatalf("the page has no %q", from)
		}
		b.open(write("bad", bad))
		if out := wrong(); len(out) == 0 {
			t.Errorf("with %q in place of %q nothing is found", to, from)
		}
	}

	// Nobody who gets a script into the page has it run.
	b.open(write("script", bytes.Replace(quick, []byte("</body>"), []byte("<script>document.title='ran'</script></body>"), 1)))
	var title string
	if b.eval("document.title", &title); strings.Contains(title, "ran") {
		t.Error("a script of the page runs")
	}

	// On paper what is folded is there.
	b.open(write("paper", page(t, many())))
	b.show(1280, "light", "print")
	var heights []float64
	b.eval(`[document.querySelectorAll("details[open]").length, document.querySelector(".service table").getBoundingClientRect().height]`, &heights)
	if heights[0] != 0 || heights[1] < 10 {
		t.Errorf("of the folded services paper shows %v", heights)
	}
}

// margin takes a screenshot, which CASEMATE_SCREENSHOTS keeps, and holds its right edge to be empty.
func (b *browser) margin(name string) {
	b.t.Helper()
	var shot struct{ Data string }
	b.ask("Page.captureScreenshot", map[string]any{"format": "png"}, &shot)
	text, err := base64.StdEncoding.DecodeString(shot.Data)
	if err != nil {
		b.t.Fatal(err)
	}
	if dir := os.Getenv("CASEMATE_SCREENSHOTS"); dir != "" {
		if err := os.WriteFile(filepath.Join(dir, name+".png"), text, 0o644); err != nil {
			b.t.Fatal(err)
		}
	}
	img, _, err := image.Decode(bytes.NewReader(text))
	if err != nil {
		b.t.Fatal(err)
	}
	box := img.Bounds()
	page := img.At(box.Min.X, box.Min.Y)
	for y := box.Min.Y; y < box.Max.Y; y++ {
		for x := box.Max.X - 8; x < box.Max.X-1; x++ {
			if img.At(x, y) != page {
				b.t.Errorf("%s: something stands in the margin at %d,%d", name, x, y)
				return
			}
		}
	}
}
