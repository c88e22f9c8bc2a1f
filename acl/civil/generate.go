//go:build ignore

// generate writes zones.txt out of the tz database of the Go toolchain that runs it.
package main

import (
	"archive/zip"
	"fmt"
	"io"
	"log"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sort"
	"strings"
	"time"
)

func main() {
	z, err := zip.OpenReader(filepath.Join(runtime.GOROOT(), "lib/time/zoneinfo.zip"))
	if err != nil {
		log.Fatal(err)
	}
	zones := map[string][]string{} // names by what they come to
	for _, f := range z.File {
		if strings.HasSuffix(f.Name, "/") || f.Name == "Factory" {
			continue
		}
		key := changes(f)
		zones[key] = append(zones[key], f.Name)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "# Offsets of civil time in seconds from 2026 to 2059, each change with its time, and the zones that have them:\n# go run generate.go, of the tz database in %s.\n", runtime.Version())
	for _, key := range slices.Sorted(maps.Keys(zones)) {
		slices.Sort(zones[key])
		fmt.Fprintf(&b, "%s = %s\n", key, strings.Join(zones[key], " "))
	}
	if err := os.WriteFile("zones.txt", []byte(b.String()), 0o644); err != nil {
		log.Fatal(err)
	}
}

func changes(f *zip.File) string {
	r, err := f.Open()
	if err != nil {
		log.Fatal(err)
	}
	data, err := io.ReadAll(r)
	if err != nil {
		log.Fatal(err)
	}
	loc, err := time.LoadLocationFromTZData(f.Name, data)
	if err != nil {
		log.Fatal(err)
	}
	t, end := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2060, 1, 1, 0, 0, 0, 0, time.UTC)
	_, offset := t.In(loc).Zone()
	out := fmt.Sprint(offset)
	for day := 24 * time.Hour; t.Before(end); t = t.Add(day) { // no clock is set twice within one
		_, now := t.Add(day).In(loc).Zone()
		if now == offset {
			continue
		}
		seconds := sort.Search(int(day/time.Second), func(s int) bool {
			_, then := t.Add(time.Duration(s) * time.Second).In(loc).Zone()
			return then == now
		})
		offset = now
		out += fmt.Sprintf(" %d:%d", t.Unix()+int64(seconds), now)
	}
	return out
}
