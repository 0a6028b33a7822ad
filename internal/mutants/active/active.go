// Package active tells an instrumented program which mutant it is. It stands in no
// program but those that [github.com/eddyloop/eddy/internal/mutants] builds.
package active

import (
	"os"
	"strconv"
	"sync"
	"sync/atomic"
)

var (
	mutant = number(os.Getenv("EDDY_MUTANT"))
	record = os.Getenv("EDDY_MUTANT_RECORD") // a file for the numbers of what was reached
)

func number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		return -1
	}
	return n
}

// Is reports whether the program is the mutant n. It is called where that one differs
// from the original.
func Is(n int) bool {
	if record != "" {
		reached(n)
	}
	return n == mutant
}

var (
	seen [1 << 16]atomic.Bool
	mu   sync.Mutex
)

func reached(n int) {
	if seen[n].Swap(true) {
		return
	}
	mu.Lock()
	defer mu.Unlock()
	f, err := os.OpenFile(record, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		panic(err)
	}
	defer f.Close()
	if _, err := f.WriteString(strconv.Itoa(n) + "\n"); err != nil {
		panic(err)
	}
}
