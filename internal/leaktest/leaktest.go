// Package leaktest checks that tests leave no goroutine and no descriptor
// behind.
package leaktest

import (
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"runtime/pprof"
	"strings"
	"testing"
	"time"

	"github.com/eddyloop/eddy/internal/testtime"
)

// patience is how long what ends may take to be gone.
var patience = testtime.Patience(30 * time.Second)

// Main is a TestMain that checks a whole package.
func Main(m *testing.M) {
	// Let the runtime open and start what it keeps for itself.
	ignored := make(chan os.Signal, 1)
	signal.Notify(ignored, os.Interrupt) // as fuzzing does, which never stops it
	signal.Stop(ignored)
	if r, w, err := os.Pipe(); err == nil {
		r.Close()
		w.Close()
	}
	before := count()
	code := m.Run()
	if fuzz := flag.Lookup("test.fuzz"); fuzz != nil && fuzz.Value.String() != "" {
		os.Exit(code) // the fuzzer leaves things behind
	}
	if err := before.check(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// checking: a check is in force. Tests that check do not run in parallel.
var checking bool

// Check checks, when the test and what it cleans up are over, that as many
// goroutines and descriptors are there as now. It goes before what is cleaned
// up. Within a test that is checked it does nothing: what that test has
// started may not be all there yet.
func Check(t testing.TB) {
	t.Helper()
	if checking {
		return
	}
	checking = true
	before := count()
	t.Cleanup(func() {
		t.Helper()
		checking = false
		if err := before.check(); err != nil {
			t.Error(err)
		}
	})
}

type counts struct{ goroutines, files int }

func count() counts { return counts{Goroutines(), openFiles()} }

// Goroutines returns how many there are, exactly: the program stands still for the count of a
// profile. runtime.NumGoroutine is wrong, either way, while the runtime moves ended ones from
// list to list.
func Goroutines() int {
	n, _ := runtime.GoroutineProfile(make([]runtime.StackRecord, 1))
	return n
}

func (before counts) check() error {
	deadline := time.Now().Add(patience)
	for round := 0; ; round++ {
		now := count()
		if round%100 == 99 {
			runtime.GC() // which closes the pipes that a pool of package socket holds
		}
		switch {
		case now.goroutines <= before.goroutines && now.files <= before.files:
			return nil
		case time.Now().Before(deadline):
			time.Sleep(100 * time.Microsecond)
		default:
			var stacks strings.Builder
			_ = pprof.Lookup("goroutine").WriteTo(&stacks, 1)
			return fmt.Errorf("left: %d goroutines (were %d), %d descriptors (were %d)\n%s",
				now.goroutines, before.goroutines, now.files, before.files, &stacks)
		}
	}
}

// openFiles counts the descriptors of the process, where the system tells.
func openFiles() int {
	if runtime.GOOS == "windows" { // wine shows the host's, of its own use too
		return 0
	}
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	return len(entries)
}
