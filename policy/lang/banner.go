package lang

import (
	"fmt"
	"path"
	"strings"
	"unicode/utf8"

	"casemate/policy"
	"casemate/policy/input"
)

// bannerSource keeps a text that services send.
func (c *compiler) bannerSource(f policy.SourceFile) bool {
	if !strings.HasSuffix(f.Name, input.BannerSuffix) {
		return false
	}
	if c.banners == nil {
		c.banners = map[string]*bannerFile{}
	}
	c.banners[path.Clean(f.Name)] = &bannerFile{SourceFile: f}
	return true
}

// bannerFile is one of them.
type bannerFile struct {
	policy.SourceFile
	used, sound bool
}

// banner reads a text as it is sent, or the name of the source that has it. A text without a line's end gets one.
func banner(at func(*policy.Service) *string) reader[policy.Service] {
	return func(b *block, a *Attribute, s *policy.Service) {
		v, ok := b.attr(a)
		switch {
		case !ok:
		case v.kind == kindString && v.s != "" && !strings.HasSuffix(v.s, "\n"):
			*at(s) = v.s + "\r\n"
		case v.kind == kindString:
			*at(s) = v.s
		case v.kind == kindObject && len(v.obj) == 1 && v.obj[0].name == "file" && v.obj[0].val.kind == kindString:
			*at(s) = b.bannerFile(a, v.obj[0].val)
		default:
			next := "write " + a.Name + " = " + b.c.instead(v, kindString, a.Example)
			if v.kind == kindObject {
				next = fmt.Sprintf(`write %s = { file = "NAME%s" }`, a.Name, input.BannerSuffix)
			}
			b.c.report(codeType, v.rng, next, "%s must be a text or a file, not %s", a.Name, v.describe())
		}
	}
}

// bannerFile is the text of a source, which is named from the directory of the policy file that names it.
func (b *block) bannerFile(a *Attribute, v value) string {
	rng := b.syn.Body.Attributes[a.Name].Expr.Range()
	name := path.Clean(v.s)
	if !path.IsAbs(name) {
		name = path.Join(path.Dir(rng.Filename), name)
	}
	f := b.c.banners[name]
	switch {
	case !strings.HasSuffix(name, input.BannerSuffix):
		b.c.report(codeValue, v.rng, "call it "+path.Base(name)+input.BannerSuffix, "%s: a file of a text to send is called *%s", a.Name, input.BannerSuffix)
		return ""
	case f == nil:
		next := "name it as a source as well, or the directory that holds both: casemate check POLICY " + name
		b.c.report(codeMissing, v.rng, next, "%s: %s is not among the sources", a.Name, clip(name))
		return ""
	}
	if !f.used {
		f.sound = b.c.soundBanner(f.SourceFile)
	}
	if f.used = true; !f.sound { // which is reported once
		return ""
	}
	b.c.put(b.join(a.At()), at(f.SourceFile, 0))
	return string(f.Data)
}

// soundBanner reports what is wrong with the text of a source.
func (c *compiler) soundBanner(f policy.SourceFile) bool {
	bad := 0
	for bad < len(f.Data) {
		r, n := utf8.DecodeRune(f.Data[bad:])
		if r == utf8.RuneError && n == 1 {
			break
		}
		bad += n
	}
	switch {
	case len(f.Data) == 0:
		c.report(codeValue, at(f, 0), "write a text, or remove the attribute", "the banner is empty")
	case len(f.Data) > policy.MaxBanner:
		c.report(codeSize, at(f, 0), "shorten it", "a banner of %d bytes is longer than the %d that are sent at once", len(f.Data), policy.MaxBanner)
	case bad < len(f.Data):
		c.report(codeValue, at(f, bad), "convert it, with iconv -t UTF-8", "the banner is not UTF-8")
	default:
		return true
	}
	return false
}

// unsent warns of texts that no service sends.
func (c *compiler) unsent() {
	for _, name := range sortedKeys(c.banners) {
		if f := c.banners[name]; !f.used {
			c.warn(codeHabit, at(f.SourceFile, 0), fmt.Sprintf(`write banner = { file = %q } in a service, or remove it`, path.Base(name)), "no service sends this text")
		}
	}
}
