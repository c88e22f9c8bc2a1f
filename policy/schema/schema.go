// Package schema describes a compiled document as JSON Schema (2020-12): the types of package policy give
// its shape, and the attribute table of package lang what each value is and may be. Nothing is
// written here that stands in one of the two.
package schema

import (
	"encoding"
	"encoding/json"
	"fmt"
	"math"
	"net/netip"
	"path"
	"reflect"
	"strconv"
	"strings"
	"time"

	"casemate/acl"
	"casemate/acl/limit"
	"casemate/listener/address"
	"casemate/policy"
	"casemate/policy/granted"
	"casemate/policy/lang"
	"casemate/policy/valid"
	"casemate/sandbox"
	"casemate/sandbox/seccomp"
)

// Dialect is the version of JSON Schema.
const Dialect = "https://json-schema.org/draft/2020-12/schema"

// node is a schema or a part of one.
type node = map[string]any

// words are the types whose values are some texts alone.
var words = map[reflect.Type][]string{
	reflect.TypeFor[policy.StopMode]():     spelled(policy.StopModes),
	reflect.TypeFor[policy.BrokenMode]():   spelled(policy.BrokenModes),
	reflect.TypeFor[policy.LogLevel]():     spelled(policy.LogLevels),
	reflect.TypeFor[sandbox.NetworkMode](): spelled(sandbox.NetworkModes),
	reflect.TypeFor[seccomp.Action]():      spelled(seccomp.Actions),
	reflect.TypeFor[limit.Class]():         spelled(limit.Classes),
	reflect.TypeFor[acl.Verdict]():         spelled(valid.Verdicts),
}

func spelled[W ~string](list []W) []string {
	var out []string
	for _, w := range list {
		out = append(out, string(w))
	}
	return out
}

// Document is the schema of what casemate compile writes. It holds every document that casemated loads, and of
// the others refuses what has another shape: what values mean together, casemate check says.
func Document() node {
	w := &writer{defs: node{}}
	root := w.object(reflect.TypeFor[policy.Document]())
	for _, b := range lang.Reference() {
		w.describe(&b)
	}
	properties := root["properties"].(node)
	properties["format_version"] = node{"const": granted.DocumentFormat}
	properties["digest"] = node{"type": "string", "pattern": "^sha256:[0-9a-f]{64}$", "description": "SHA-256 of the bytes of policy as they stand here"}
	properties["origins"].(node)["description"] = `where each value was written: its path below policy, named things by name, to "file:line:column" or "default"`
	root["$schema"], root["title"], root["$defs"] = Dialect, "compiled policy of casemate", w.defs
	return root
}

// JSON is Document as text.
func JSON() ([]byte, error) {
	b, err := json.MarshalIndent(Document(), "", "  ")
	if err != nil {
		return nil, fmt.Errorf("schema: %w", err)
	}
	return append(b, '\n'), nil
}

// writer collects the schemas of structs by their names.
type writer struct{ defs node }

// of is the schema of a type. Its values are as encoding/json writes them.
func (w *writer) of(t reflect.Type) node {
	switch t {
	case reflect.TypeFor[sandbox.Resources]():
		return resources()
	case reflect.TypeFor[address.Listen]():
		return node{"type": "string", "pattern": listenPattern(), "description": "an address in its one spelling, as casemate check shows it"}
	case reflect.TypeFor[netip.AddrPort]():
		return node{"type": "string", "pattern": `^(?:[0-9.]+|\[[0-9a-f:.]+(?:%[^\]]+)?\]):[0-9]+$`}
	case reflect.TypeFor[time.Duration]():
		return node{"type": "integer", "minimum": 0, "maximum": math.MaxInt64, "description": "in nanoseconds"}
	}
	if list := words[t]; list != nil {
		return node{"type": "string", "enum": list}
	}
	if t.Implements(reflect.TypeFor[encoding.TextMarshaler]()) {
		return node{"type": "string", "minLength": 1}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return w.of(t.Elem())
	case reflect.Bool:
		return node{"type": "boolean"}
	case reflect.String:
		return node{"type": "string"}
	case reflect.Uint8:
		return node{"type": "integer", "minimum": 0, "maximum": math.MaxUint8}
	case reflect.Int, reflect.Int64:
		return node{"type": "integer", "minimum": math.MinInt64, "maximum": math.MaxInt64}
	case reflect.Uint, reflect.Uint16, reflect.Uint32:
		return node{"type": "integer", "minimum": 0, "maximum": uint64(1)<<min(t.Bits(), 53) - 1}
	case reflect.Slice:
		return node{"type": "array", "items": w.of(t.Elem())}
	case reflect.Array:
		return node{"type": "array", "items": w.of(t.Elem()), "minItems": t.Len(), "maxItems": t.Len()}
	case reflect.Map:
		return node{"type": "object", "additionalProperties": w.of(t.Elem())}
	case reflect.Struct:
		name := t.Name()
		switch room := path.Base(t.PkgPath()); room {
		case "granted", "listener": // whose names others have too
			name = strings.ToUpper(room[:1]) + room[1:] + name
		}
		if w.defs[name] == nil {
			w.defs[name] = node{} // of one that holds itself
			w.defs[name] = w.object(t)
		}
		return node{"$ref": "#/$defs/" + name}
	}
	panic("policy/schema: no JSON of " + t.String())
}

// listenPattern is how addresses begin, by their networks, and how those that have a port end.
func listenPattern() string {
	var inet, path []string
	for _, n := range address.Networks {
		if l := (address.Listen{Network: n.Word}); l.Inet() {
			inet = append(inet, n.Word)
		} else {
			path = append(path, n.Word)
		}
	}
	return fmt.Sprintf("^(?:(?:%s)://.*:[0-9]+(?:-[0-9]+)?|(?:%s):.+)$", strings.Join(inet, "|"), strings.Join(path, "|"))
}

// object is the schema of a struct: its fields and no others, of which those that JSON leaves out where they are
// nothing may be missing, and are something where they are not.
func (w *writer) object(t reflect.Type) node {
	properties, required := node{}, []string{}
	for _, f := range reflect.VisibleFields(t) {
		name, option, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "-" || f.Anonymous { // what it holds is among the fields
			continue
		}
		s := w.of(f.Type)
		if properties[name] = s; option == "" {
			required = append(required, name)
			continue
		}
		switch s["type"] {
		case "boolean":
			s = node{"const": true}
		case "string":
			s["minLength"] = 1
		case "array":
			s["minItems"] = 1
		case "object":
			s["minProperties"] = 1
		case "integer":
			s["not"] = node{"const": 0}
		}
		properties[name] = s
	}
	return node{"type": "object", "properties": properties, "required": required, "additionalProperties": false}
}

// resources is the schema of limits, of which each has a bound of its own and is 0 where it is none.
func resources() node {
	properties, required := node{}, []string{}
	for _, r := range sandbox.ResourceRows {
		properties[r.Name] = node{"anyOf": []any{node{"const": 0}, node{"type": "integer", "minimum": r.Min, "maximum": r.Max}}}
		required = append(required, r.Name)
	}
	return node{"type": "object", "properties": properties, "required": required, "additionalProperties": false}
}

// blocks are the structs that blocks become, by the first word of the blocks' names.
var blocks = map[string]reflect.Type{
	"policy": reflect.TypeFor[policy.Policy](), "acl": reflect.TypeFor[acl.List](), "allow": reflect.TypeFor[acl.Rule](), "limit": reflect.TypeFor[limit.Spec](), "wider": reflect.TypeFor[limit.Wider](),
	"profile": reflect.TypeFor[sandbox.Profile](), "rule": reflect.TypeFor[sandbox.SyscallRule](), "service": reflect.TypeFor[policy.Service](),
}

// describe puts what the attribute table says of a block's values where they stand.
func (w *writer) describe(b *lang.Block) {
	kind, _, _ := strings.Cut(b.Name, " ")
	if t := blocks[kind]; t != nil {
		w.rows(w.defs[t.Name()].(node), b)
	}
}

func (w *writer) rows(at node, b *lang.Block) {
	for i := range b.Attributes {
		a := &b.Attributes[i]
		place := at
		for _, step := range strings.Split(a.At(), ".") {
			if place = w.property(place, step); place == nil {
				break
			}
		}
		if place != nil {
			row(place, a)
		}
	}
	for i := range b.Blocks {
		inner := &b.Blocks[i]
		if kind, _, _ := strings.Cut(inner.Name, " "); blocks[kind] != nil {
			w.describe(inner)
		} else if place := w.property(at, inner.Name); place != nil {
			w.rows(place, inner)
		}
	}
}

// property is that of an object, or nil.
func (w *writer) property(at node, name string) node {
	if ref, ok := at["$ref"].(string); ok {
		at = w.defs[strings.TrimPrefix(ref, "#/$defs/")].(node)
	}
	properties, _ := at["properties"].(node)
	out, _ := properties[name].(node)
	return out
}

// row adds what a row says. Its words and bounds are those of the value where that is what is written.
func row(s node, a *lang.Attribute) {
	if about := a.About(); about != "" && s["$ref"] == nil {
		if old, _ := s["description"].(string); old != "" {
			about = old + "; " + about
		}
		s["description"] = about
	}
	if a.Path != "" {
		return
	}
	if items, ok := s["items"].(node); ok && len(a.Words) > 0 && items["enum"] == nil && items["type"] == "string" {
		items["enum"] = a.Words
	} else if len(a.Words) > 0 && s["enum"] == nil && s["type"] == "string" && s["minLength"] != nil {
		s["enum"] = a.Words // one that may be nothing is left out then
	}
	least, most, ok := strings.Cut(a.Bounds, " to ")
	from, err := strconv.ParseInt(least, 10, 64)
	to, err2 := strconv.ParseInt(most, 10, 64)
	if ok && err == nil && err2 == nil && s["type"] == "integer" {
		if s["not"] == nil {
			from = 0 // which is what stands where nothing is written
		}
		s["minimum"], s["maximum"] = from, to
	}
}
