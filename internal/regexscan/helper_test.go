package regexscan

import (
	"math/rand/v2"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

// A stream is a buffer that grows and is consumed, next to its scanner.
type stream struct {
	scanner Scanner
	buf     []byte
	rest    []byte // still to arrive
}

// deliver appends n bytes and compares the result with that of re.
func (s *stream) deliver(t require.TestingT, re *regexp.Regexp, n int) (end int) {
	n = min(n, len(s.rest))
	s.buf = append(s.buf, s.rest[:n]...)
	s.rest = s.rest[n:]
	want := -1
	if loc := re.FindIndex(s.buf); loc != nil {
		want = loc[1]
	}
	if got := s.scanner.Scan(s.buf); got != want {
		require.Equalf(t, want, got, "%#q in %q after an arrival of %d bytes", re, s.buf, n)
	}
	return want
}

// consume drops what was matched, as a read would.
func (s *stream) consume(end int) {
	s.buf = s.buf[end:]
	s.scanner.Reset()
}

// run delivers the streams in small pieces, interleaved, to scanners of p.
// It returns the numbers of arrivals and matches.
func run(t require.TestingT, p *Program, rnd *rand.Rand, inputs ...[]byte) (arrivals, matches int) {
	streams := make([]*stream, len(inputs))
	for i, in := range inputs {
		streams[i] = &stream{scanner: p.NewScanner(), rest: in}
	}
	largest := 1 + rnd.IntN(5)
	for len(streams) > 0 {
		i := rnd.IntN(len(streams))
		s := streams[i]
		if len(s.rest) == 0 {
			streams = append(streams[:i], streams[i+1:]...)
		}
		arrivals++
		end := s.deliver(t, p.re, rnd.IntN(largest+1))
		if end >= 0 {
			matches++
			if rnd.IntN(3) > 0 { // else see whether it goes on well
				s.consume(end)
			}
		}
	}
	return arrivals, matches
}

// requireRightVariant checks that p has not dropped the variant that re
// really is, after which only whole searches would be left.
func requireRightVariant(t require.TestingT, p *Program, posix bool) {
	right := 0
	if posix && len(p.variants) == 2 {
		right = 1
	}
	require.Falsef(t, p.refuted[right].Load(), "%#q: right variant refuted", p.re)
}

// bytewise delivers input in single bytes and returns the results.
func bytewise(t *testing.T, re *regexp.Regexp, input string) []int {
	p := newProgram(re, re.String(), defaultBudget)
	s := &stream{scanner: p.NewScanner(), rest: []byte(input)}
	ends := []int{s.deliver(t, re, 0)}
	for len(s.rest) > 0 {
		ends = append(ends, s.deliver(t, re, 1))
	}
	return ends
}
