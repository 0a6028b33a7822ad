// Command mutants breaks single places of packages and tells which breaks no test
// notices. The places are conditions (negated), comparisons (equal operands are treated the other
// way) and statements (left out). It is run by ci/mutants.
//
// All mutants of a package are compiled into one test program, which the environment tells
// which one to be. A first run of each test, alone, records which mutants it
// reaches; only those tests are run for a mutant, the quickest first. The user's cache keeps
// the records until the program changes.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

var (
	sample      = flag.Int("sample", 0, "try `number` mutants chosen at random; 0 is all")
	seed        = flag.Uint64("seed", 1, "which sample")
	only        = flag.String("only", "", "only mutants whose file or function matches this `regexp`")
	more        = flag.String("more", "", "further `packages` whose tests try the mutants, by commas")
	equivalents = flag.String("equivalents", "ci/equivalents", "`file` of mutants that change nothing, with reasons")
	skip        = flag.String("skip", "", "tests that are not run: a `regexp`")
)

func main() {
	flag.Usage = func() {
		fmt.Fprintln(os.Stderr, "usage: ci/mutants [flags] ./package")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() != 1 {
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	survived, err := run(ctx, flag.Arg(0))
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(2)
	}
	if survived > 0 {
		os.Exit(1)
	}
}

func run(ctx context.Context, pkg string) (survived int, err error) {
	dir, err := os.MkdirTemp("", "mutants")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	known, err := readEquivalents(*equivalents)
	if err != nil {
		return 0, err
	}
	mutants, overlay, err := instrumentPackage(pkg, dir)
	if err != nil {
		return 0, err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return 0, err
	}
	cache = filepath.Join(cache, "eddy-mutants")
	forgetOld(cache, time.Now())
	var tests []*test
	for i, p := range append([]string{pkg}, split(*more)...) {
		program := filepath.Join(dir, fmt.Sprintf("tests%d", i))
		found, err := build(p, program, overlay)
		if err != nil {
			return 0, err
		}
		if len(found) == 0 {
			continue
		}
		kept, err := keepRecordings(cache, program)
		if err != nil {
			return 0, err
		}
		if err := recordAll(ctx, found, kept, filepath.Join(dir, "reached")); err != nil {
			return 0, err
		}
		tests = append(tests, found...)
	}
	slices.SortStableFunc(tests, func(a, b *test) int { return int(a.took - b.took) })
	return try(ctx, choose(mutants), tests, known)
}

// recordAll learns what tests reach that is not kept from an earlier run. A test that the
// mutants make fail even if none is active is left out.
func recordAll(ctx context.Context, tests []*test, kept recordings, file string) error {
	for _, t := range tests {
		if kept.load(t) {
			continue
		}
		_ = os.Remove(file)
		err := t.record(ctx, file)
		if err != nil { // once more: hours of work are at stake
			_ = os.Remove(file)
			err = t.record(ctx, file)
		}
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil: // one that measures the stack, which mutants make deeper
			fmt.Fprintf(os.Stderr, "left out: %v\n", err)
			continue
		}
		if err := kept.save(t); err != nil {
			return err
		}
		fmt.Fprintf(os.Stderr, "%-60s reaches %4d mutants in %v\n", t.name, len(t.reaches), t.took.Round(time.Millisecond))
	}
	return nil
}

// choose returns the mutants to try.
func choose(all []mutant) []mutant {
	pattern := regexp.MustCompile(*only)
	var chosen []mutant
	for _, m := range all {
		if pattern.MatchString(m.file + " " + m.fn) {
			chosen = append(chosen, m)
		}
	}
	if *sample > 0 && *sample < len(chosen) {
		random := rand.New(rand.NewPCG(*seed, 0))
		random.Shuffle(len(chosen), func(i, j int) { chosen[i], chosen[j] = chosen[j], chosen[i] })
		chosen = chosen[:*sample]
		slices.SortFunc(chosen, func(a, b mutant) int { return a.number - b.number })
	}
	return chosen
}

// try runs the tests on each mutant and tells which survive.
func try(ctx context.Context, mutants []mutant, tests []*test, known map[string]string) (survived int, err error) {
	killed, equivalent := 0, 0
	for i, m := range mutants {
		if _, ok := known[m.key()]; ok {
			equivalent++
			continue
		}
		by, reached := "", false
		for _, t := range tests {
			if !t.reaches[m.number] {
				continue
			}
			reached = true
			if t.kills(ctx, m.number) {
				by = t.name
				break
			}
		}
		if ctx.Err() != nil {
			return survived, ctx.Err()
		}
		switch {
		case by != "":
			killed++
		case reached:
			survived++
			fmt.Printf("survived    %s:%d %s\n", m.file, m.line, m.key())
		default:
			survived++
			fmt.Printf("not reached %s:%d %s\n", m.file, m.line, m.key())
		}
		if (i+1)%50 == 0 {
			fmt.Fprintf(os.Stderr, "%d of %d tried, %d survived\n", i+1, len(mutants), survived)
		}
	}
	share := 100.0
	if killed+survived > 0 {
		share = 100 * float64(killed) / float64(killed+survived)
	}
	fmt.Printf("%d mutants: %d killed (%.1f %%), %d survived, %d equivalent\n", len(mutants), killed, share, survived, equivalent)
	return survived, nil
}

// instrumentPackage writes the changed files and the overlay that puts them in place.
func instrumentPackage(pkg, dir string) ([]mutant, string, error) {
	var listed struct {
		Dir, ImportPath string
		GoFiles         []string
		Module          struct{ Dir string }
	}
	out, err := exec.Command("go", "list", "-json", pkg).Output()
	if err != nil {
		return nil, "", fmt.Errorf("go list %s: %w", pkg, err)
	}
	if err := json.Unmarshal(out, &listed); err != nil {
		return nil, "", err
	}
	var files []string
	for _, f := range listed.GoFiles {
		name, err := filepath.Rel(listed.Module.Dir, filepath.Join(listed.Dir, f))
		if err != nil {
			return nil, "", err
		}
		files = append(files, name)
	}
	in := &instrumenter{root: listed.Module.Dir, pkg: listed.ImportPath}
	changed, err := in.instrument(files)
	if err != nil {
		return nil, "", err
	}
	replace := map[string]string{}
	for name, text := range changed {
		to := filepath.Join(dir, strings.ReplaceAll(name, string(filepath.Separator), "_"))
		if err := os.WriteFile(to, text, 0o600); err != nil {
			return nil, "", err
		}
		replace[filepath.Join(in.root, name)] = to
	}
	overlay := filepath.Join(dir, "overlay.json")
	text, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return nil, "", err
	}
	return in.mutants, overlay, os.WriteFile(overlay, text, 0o600)
}

// test is one test of a test program.
type test struct {
	name    string
	program string
	dir     string
	reaches map[int]bool
	took    time.Duration
}

// build compiles a package's tests with the mutants in them.
func build(pkg, program, overlay string) ([]*test, error) {
	cmd := exec.Command("go", "test", "-c", "-overlay", overlay, "-o", program, pkg)
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("go test -c %s: %w\n%s", pkg, err, out)
	}
	if _, err := os.Stat(program); err != nil {
		return nil, nil // no tests
	}
	dir, err := exec.Command("go", "list", "-f", "{{.Dir}}", pkg).Output()
	if err != nil {
		return nil, err
	}
	list := exec.Command(program, "-test.list", "^(Test|Example|Fuzz)")
	list.Dir = strings.TrimSpace(string(dir))
	out, err := list.Output()
	if err != nil {
		return nil, err
	}
	var tests []*test
	skipped := regexp.MustCompile(*skip)
	for _, name := range strings.Fields(string(out)) {
		if *skip == "" || !skipped.MatchString(name) {
			tests = append(tests, &test{name: name, program: program, dir: list.Dir})
		}
	}
	return tests, nil
}

// record runs the test unharmed and learns what it reaches and how long it takes.
func (t *test) record(ctx context.Context, file string) error {
	began := time.Now()
	if out, err := t.run(ctx, 5*time.Minute, "EDDY_MUTANT_RECORD="+file); err != nil {
		return fmt.Errorf("%s fails by itself: %w\n%s", t.name, err, out)
	}
	t.took = time.Since(began)
	t.reaches = map[int]bool{}
	f, err := os.Open(file)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		n, err := strconv.Atoi(lines.Text())
		if err != nil {
			return err
		}
		t.reaches[n] = true
	}
	return nil
}

// kills reports whether the test fails, or hangs, on the mutant.
func (t *test) kills(ctx context.Context, mutant int) bool {
	_, err := t.run(ctx, 5*t.took+10*time.Second, "EDDY_MUTANT="+strconv.Itoa(mutant))
	return err != nil
}

func (t *test) run(ctx context.Context, limit time.Duration, env string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, t.program, "-test.run", "^"+t.name+"$", "-test.short", "-test.failfast")
	cmd.Dir, cmd.Env = t.dir, append(os.Environ(), env)
	cmd.WaitDelay = time.Second
	killGroup(cmd)
	return cmd.CombinedOutput()
}

// readEquivalents reads lines of a mutant's key, a tab, and the reason why it changes
// nothing. A missing file has none.
func readEquivalents(file string) (map[string]string, error) {
	known := map[string]string{}
	text, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return known, nil
	} else if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		key, reason, ok := strings.Cut(line, "\t")
		if !ok || reason == "" {
			return nil, fmt.Errorf("%s: no reason: %s", file, line)
		}
		known[key] = reason
	}
	return known, nil
}

func split(list string) []string {
	if list == "" {
		return nil
	}
	return strings.Split(list, ",")
}
