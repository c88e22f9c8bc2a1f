package importer

import (
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	"casemate/policy"
	"casemate/policy/input"
)

// banner has the text of the file in the service: whoever reviews the policy reads what is sent, and the host's file may go.
func banner(name string, to func(*service) *string) func(*xinetd, *xValue) {
	return func(x *xinetd, v *xValue) {
		file, a := x.one(strings.ToLower(v.line().name))
		if a == nil {
			return
		}
		instead := "write " + name + " = { file = \"NAME" + input.BannerSuffix + "\" } in the service, and that file beside the policy"
		switch {
		case x.s.wait || x.is("INTERNAL"):
			mere(Lost, "the program takes its clients itself", "let the program send it")(x, v)
			return
		case x.is("TCPMUX") && name != "banner":
			mere(Lost, "a client of tcpmux reads the program's + or - first", "write type = TCPMUXPLUS, where casemate says it, and import again")(x, v)
			return
		case x.v["socket_type"] != nil && !slices.Contains(x.v["socket_type"].vals, "stream"):
			mere(Note, "xinetd sends it over connections alone, as casemate does", "")(x, v)
			return
		case !path.IsAbs(file):
			x.off(a, "%s takes the path of one file", a.name)
			return
		}
		text, err := x.files(strings.TrimPrefix(path.Clean(file), "/"))
		switch {
		case err != nil:
			mere(Lost, file+" is not read: "+reason(err), instead)(x, v)
		case len(text) > policy.MaxBanner:
			mere(Lost, file+" is longer than the 4096 bytes that are sent at once", instead)(x, v)
		case !utf8.Valid(text):
			mere(Lost, file+" is not UTF-8", instead)(x, v)
		default:
			if *to(x.s) = string(text); len(text) > 0 && text[len(text)-1] != '\n' {
				x.note(a.file, a.line, a.text, "", "%s has no line's end at its end, and is sent with one", file)
			}
		}
	}
}

// XinetdBanners are the files whose text services send, by the text of one of xinetd's files.
func XinetdBanners(text []byte) (out []string) {
	for l := range strings.Lines(string(text)) {
		if name, file, ok := strings.Cut(l, "="); ok && strings.HasPrefix(strings.TrimSpace(name), "banner") && path.IsAbs(strings.TrimSpace(file)) {
			out = append(out, strings.TrimSpace(file))
		}
	}
	return out
}
