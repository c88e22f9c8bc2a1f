package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
)

// test is one function of a test binary.
type test struct {
	pkg, name   string
	binary, dir string
}

// result is what came of it.
type result struct {
	test
	took   time.Duration
	output []byte
	err    error
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == inside {
		os.Exit(enter(os.Args[2:]))
	}
	lanes := flag.Int("lanes", max(2, runtime.NumCPU()), "how many tests run at a time")
	only := flag.String("run", "", "a regular expression that a test's name matches")
	flag.Parse()
	if err := run(flag.Args(), *lanes, *only); err != nil {
		fmt.Fprintln(os.Stderr, "lanes:", err)
		os.Exit(1)
	}
}

// run builds the packages' tests, runs them, and says how that went.
func run(packages []string, lanes int, only string) error {
	match, err := regexp.Compile(only)
	if err != nil {
		return err
	}
	bin, err := os.MkdirTemp("", "casemate-lanes-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(bin)
	var all []test
	for _, pkg := range packages {
		some, err := build(bin, pkg)
		if err != nil {
			return err
		}
		all = append(all, some...)
	}
	all = slices.DeleteFunc(all, func(x test) bool { return !match.MatchString(x.name) })
	if len(all) == 0 {
		return fmt.Errorf("no test matches %q", only)
	}
	beside, alone := order(all)
	began := time.Now()
	var failed []string
	report := func(r result) {
		if print(r); r.err != nil {
			failed = append(failed, r.pkg+" "+r.name)
		}
	}
	each(beside, lanes, report)
	each(alone, 1, report)
	fmt.Printf("%d tests in %s\n", len(all), time.Since(began).Round(time.Second))
	if len(failed) > 0 {
		return fmt.Errorf("%d failed: %s", len(failed), strings.Join(failed, ", "))
	}
	return nil
}

// build compiles one package's tests and lists them.
func build(bin, pkg string) (list []test, err error) {
	dir, err := exec.Command("go", "list", "-f", "{{.Dir}}", pkg).Output()
	if err != nil {
		return nil, fmt.Errorf("go list %s: %w", pkg, err)
	}
	x := test{pkg: pkg, dir: strings.TrimSpace(string(dir)), binary: filepath.Join(bin, strings.ReplaceAll(filepath.Base(pkg), "/", "-")+".test")}
	if out, err := exec.Command("go", "test", "-c", "-o", x.binary, pkg).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("go test -c %s: %w\n%s", pkg, err, out)
	}
	cmd := exec.Command(x.binary, "-test.list", ".")
	cmd.Dir = x.dir
	names, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("list the tests of %s: %w", pkg, err)
	}
	for _, name := range strings.Fields(string(names)) {
		x.name = name
		list = append(list, x)
	}
	return list, nil
}

// each runs tests, so many at a time, and reports one after the other.
func each(tests []test, lanes int, report func(result)) {
	queue := make(chan test)
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range lanes {
		wg.Go(func() {
			for x := range queue {
				r := x.run()
				mu.Lock()
				report(r)
				mu.Unlock()
			}
		})
	}
	for _, x := range tests {
		queue <- x
	}
	close(queue)
	wg.Wait()
}

// print is a line of a test that passed, or was left out, and all that one has said that failed.
func print(r result) {
	word := "ok"
	switch {
	case r.err != nil:
		word = "FAIL"
		fmt.Printf("%s\n", strings.TrimRight(string(r.output), "\n"))
	case strings.Contains(string(r.output), "\n--- SKIP: ") || strings.HasPrefix(string(r.output), "--- SKIP: "):
		word = "skip"
	}
	fmt.Printf("%s\t%s\t%s\t%.2fs\n", word, r.pkg, r.name, r.took.Seconds())
}
