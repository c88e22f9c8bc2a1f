// Package commit reads policies out of the commits of a git repository, by the git program's plumbing: nothing is checked
// out, nothing is fetched, and no hook, filter or pager of the repository runs. What it reads is bytes, for a reader that is
// confined.
package commit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"strconv"
	"strings"
	"time"

	"casemate/policy"
	"casemate/policy/input"
	"casemate/policy/source"
)

// Prefix begins what Read takes.
const Prefix = "git:"

// deadline is for all that git is asked about one path.
const deadline = 30 * time.Second

// Read gives the policy that git:REV:PATH names: a file, or the policy files of a directory of the commit REV. PATH is from the
// root of the repository that the working directory is in, or, as ./PATH, from there; an empty one is all of the root. A file that
// is a link is refused. tests asks for the tests beside a directory's policy as well. The error is a *source.Error.
func Read(ctx context.Context, name string, tests bool) ([]policy.SourceFile, error) {
	if ctx == nil {
		ctx = context.Background()
	}
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	files, err := read(ctx, name, tests)
	if err != nil {
		var se *source.Error
		if errors.As(err, &se) {
			return nil, se
		}
		return nil, &source.Error{Path: name, Reason: err.Error(), Next: "write git:REV:PATH, as git:main:casemate", Err: err}
	}
	return files, nil
}

func read(ctx context.Context, name string, tests bool) ([]policy.SourceFile, error) {
	rev, at, ok := strings.Cut(strings.TrimPrefix(name, Prefix), ":")
	switch {
	case !ok:
		return nil, errors.New("it names no path")
	case rev == "" || strings.HasPrefix(rev, "-") || strings.ContainsAny(rev, "\x00\n"):
		return nil, fmt.Errorf("%q is no commit", rev)
	case strings.ContainsAny(at, "\x00\n"):
		return nil, fmt.Errorf("%q is no path", at)
	}
	// The commit first, so that nothing of the path can be taken for a part of it.
	commit, err := one(ctx, "rev-parse", "--verify", "--quiet", "--end-of-options", rev+"^{commit}")
	if err != nil {
		return nil, because(err, name, fmt.Sprintf("git knows no commit %q here", rev), "name one that this clone has (git fetch brings others, and origin/BRANCH is a branch that was fetched)")
	}
	// Once more aloud: of a tag and a branch of one name git takes the tag, which whoever may push tags chooses.
	if _, err := one(ctx, "rev-parse", "--verify", "--end-of-options", rev+"^{commit}"); err != nil {
		return nil, err
	}
	object, err := one(ctx, "rev-parse", "--verify", "--quiet", "--end-of-options", commit+":"+strings.TrimSuffix(at, "/"))
	if err != nil {
		return nil, because(err, name, fmt.Sprintf("commit %q has no %q", rev, at), "name it from the root of the repository, or as ./PATH from here")
	}
	kind, err := one(ctx, "cat-file", "-t", object)
	switch {
	case err != nil:
		return nil, err
	case kind == "tree":
		return tree(ctx, name, object, tests)
	case kind != "blob":
		return nil, fmt.Errorf("%q is a %s, no file or directory", at, kind)
	}
	if err := regular(ctx, commit, at); err != nil {
		return nil, err
	}
	data, err := blob(ctx, object, input.MaxSourceAll)
	if err != nil {
		return nil, err
	}
	return []policy.SourceFile{{Name: name, Data: data}}, nil
}

// regular fails if a path of a commit is a link: git has its target as a file's bytes.
func regular(ctx context.Context, commit, at string) error {
	dir, base := path.Split(at)
	parent, err := one(ctx, "rev-parse", "--verify", "--quiet", "--end-of-options", commit+":"+strings.TrimSuffix(dir, "/"))
	if err != nil {
		return err
	}
	entries, err := list(ctx, parent)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.name == base && e.link {
			return fmt.Errorf("%q is a symbolic link", at)
		}
	}
	return nil
}

// tree reads the policy files of a directory, and the tests.
func tree(ctx context.Context, name, object string, tests bool) (files []policy.SourceFile, err error) {
	entries, err := list(ctx, object)
	if err != nil {
		return nil, err
	}
	left := input.MaxSourceAll
	for _, e := range entries {
		full := strings.TrimSuffix(name, "/") + "/" + e.name
		if strings.HasSuffix(name, ":") {
			full = name + e.name
		}
		if e.directory || !input.IsSource(full) && !(tests && strings.HasSuffix(full, input.TestSuffix)) {
			continue
		}
		if e.link {
			return nil, &source.Error{Path: full, Reason: "a symbolic link", Next: "commit the file itself"}
		}
		data, err := blob(ctx, e.object, left)
		if err != nil {
			return nil, source.Of(full, err)
		}
		left -= len(data)
		files = append(files, policy.SourceFile{Name: full, Data: data})
	}
	if len(files) == 0 {
		return nil, &source.Error{Path: name, Reason: "no policy file in the directory", Next: "name the directory of the *" + input.SourceSuffix + " files"}
	}
	return files, nil
}

// entry is one of a tree.
type entry struct {
	name, object    string
	link, directory bool
}

func list(ctx context.Context, object string) (out []entry, err error) {
	text, err := git(ctx, maxTree, "ls-tree", "-z", "--end-of-options", object)
	if err != nil {
		return nil, err
	}
	for line := range strings.SplitSeq(strings.TrimSuffix(string(text), "\x00"), "\x00") {
		facts, name, ok := strings.Cut(line, "\t")
		words := strings.Fields(facts) // mode, type, object
		if !ok || len(words) != 3 {
			continue
		}
		out = append(out, entry{name: name, object: words[2], link: words[0] == "120000", directory: words[1] != "blob"})
	}
	return out, nil
}

// maxTree bounds the list of one directory in bytes.
const maxTree = 4 << 20

// blob reads an object of at most so many bytes, as large as a policy file may be.
func blob(ctx context.Context, object string, left int) ([]byte, error) {
	text, err := one(ctx, "cat-file", "-s", object)
	if err != nil {
		return nil, err
	}
	size, err := strconv.ParseInt(text, 10, 64)
	if err != nil || size > int64(min(left, input.MaxSourceFile)) {
		return nil, fmt.Errorf("larger than %d bytes", min(left, input.MaxSourceFile))
	}
	return git(ctx, int(size), "cat-file", "blob", object)
}

// one is git's answer of one line.
func one(ctx context.Context, args ...string) (string, error) {
	text, err := git(ctx, 4096, args...)
	return strings.TrimSuffix(string(text), "\n"), err
}

// because is reason, with the step that helps, where git said no without a word, and otherwise what went wrong.
func because(err error, name, reason, next string) error {
	var e *exec.ExitError
	if errors.As(err, &e) && len(bytes.TrimSpace(e.Stderr)) == 0 {
		return &source.Error{Path: name, Reason: reason, Next: next, Err: err}
	}
	return err
}

// git runs a plumbing command for at most so many bytes of its answer. A replaced object is not what the commit says, an object that is
// not here is not fetched, and no transport may run a program.
func git(ctx context.Context, most int, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "git", append([]string{"--no-pager", "--no-replace-objects", "--no-optional-locks", "-c", "core.fsmonitor=false", "-c", "core.warnAmbiguousRefs=true"}, args...)...)
	cmd.Env = append(os.Environ(), "LC_ALL=C", "GIT_NO_LAZY_FETCH=1", "GIT_ALLOW_PROTOCOL=none", "GIT_TERMINAL_PROMPT=0", "GIT_OPTIONAL_LOCKS=0")
	var errs bytes.Buffer
	cmd.Stderr = &limited{&errs, 4096}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		if errors.Is(err, exec.ErrNotFound) {
			return nil, errors.New("there is no git program in PATH")
		}
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(out, int64(most)+1))
	if len(text) > most {
		cancelled := cmd.Process.Kill()
		return nil, errors.Join(fmt.Errorf("git %s: more than %d bytes", args[0], most), cmd.Wait(), cancelled)
	}
	if err = errors.Join(err, cmd.Wait()); err != nil {
		var e *exec.ExitError
		if errors.As(err, &e) {
			e.Stderr = errs.Bytes()
			if said := strings.TrimSpace(errs.String()); said != "" {
				return nil, fmt.Errorf("git %s: %s: %w", args[0], said, e)
			}
			return nil, e
		}
		return nil, fmt.Errorf("git %s: %w", args[0], errors.Join(err, ctx.Err()))
	}
	if strings.Contains(errs.String(), "' is ambiguous") {
		return nil, errors.New("it names a tag and a branch, or several of these: write refs/heads/NAME or refs/tags/NAME")
	}
	return text, nil
}

// limited takes the first bytes that are written to it.
type limited struct {
	to   *bytes.Buffer
	left int
}

func (l *limited) Write(p []byte) (int, error) {
	n := min(len(p), l.left)
	l.left -= n
	l.to.Write(p[:n])
	return len(p), nil
}
