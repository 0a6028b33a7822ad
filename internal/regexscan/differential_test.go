package regexscan

import (
	"flag"
	"math/rand/v2"
	"regexp"
	"testing"
	"time"
)

var (
	soak = flag.Duration("soak", 2*time.Second, "how long to compare with package regexp")
	seed = flag.Uint64("seed", 0, "seed for the comparison, 0 to pick one")
)

// TestDifferential compares scanners with package regexp after each arrival,
// on random patterns, inputs, arrivals and cache budgets.
func TestDifferential(t *testing.T) {
	s := *seed
	if s == 0 {
		s = rand.Uint64()
	}
	t.Logf("seed %d", s)
	g := generator{Rand: rand.New(rand.NewPCG(s, 0))}
	var patterns, arrivals, matches int
	for start := time.Now(); time.Since(start) < *soak; patterns++ {
		g.posix = g.IntN(4) == 0
		re := g.regexp()
		p := newProgram(re, re.String(), g.budget())
		for range 1 + g.IntN(8) {
			ins := make([][]byte, 1+g.IntN(3))
			for i := range ins {
				ins[i] = g.input()
			}
			a, m := run(t, p, g.Rand, ins...)
			arrivals += a
			matches += m
		}
		requireRightVariant(t, p, g.posix)
	}
	t.Logf("%d patterns, %d arrivals, %d matches", patterns, arrivals, matches)
}

// FuzzScan compares a scanner with package regexp on any pattern and input.
// The seed decides on the arrivals, the syntax and the cache budget.
func FuzzScan(f *testing.F) {
	f.Fuzz(func(t *testing.T, expr string, input []byte, seed uint64) {
		g := generator{Rand: rand.New(rand.NewPCG(seed, 0)), posix: seed%4 == 0}
		compile := regexp.Compile
		if g.posix {
			compile = regexp.CompilePOSIX
		}
		if len(expr) > 60 || len(input) > 200 {
			t.Skip("too slow")
		}
		re, err := compile(expr)
		if err != nil {
			t.Skip(err)
		}
		if g.IntN(4) == 0 {
			re.Longest()
		}
		p := newProgram(re, expr, g.budget())
		run(t, p, g.Rand, input, input)
		requireRightVariant(t, p, g.posix)
	})
}
