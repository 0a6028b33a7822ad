// Package active tells an instrumented program which mutant it is. It stands in no
// program but those that [github.com/eddyloop/eddy/internal/mutants] builds.
package active

import (
	"os"
	"strconv"
	"sync/atomic"
)

var (
	mutant = number(os.Getenv("EDDY_MUTANT"))
	record = open(os.Getenv("EDDY_MUTANT_RECORD")) // for the numbers of what was reached
)

// open opens the file now: a test may leave no descriptors later.
func open(name string) *os.File {
	if name == "" {
		return nil
	}
	f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		panic(err)
	}
	return f
}

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
	if record != nil {
		reached(n)
	}
	return n == mutant
}

var seen [1 << 16]atomic.Bool

func reached(n int) {
	if seen[n].Swap(true) {
		return
	}
	if _, err := record.WriteString(strconv.Itoa(n) + "\n"); err != nil { // appended as one piece
		panic(err)
	}
}
