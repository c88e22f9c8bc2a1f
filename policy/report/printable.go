package report

import (
	"reflect"

	"casemate/policy/visible"
)

// printable makes every text below a pointer one that is seen as it is: none can be forgotten.
func printable(p any) { walk(reflect.ValueOf(p).Elem()) }

func walk(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		if v.CanSet() {
			v.SetString(visible.Line(v.String()))
		}
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			walk(v.Elem())
		}
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			walk(v.Index(i))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			walk(v.Field(i))
		}
	}
}
