//go:build unix || windows

package iostream_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/iostreamtest"
	"github.com/stretchr/testify/require"
)

// want is what a read must come to if rest is all that will arrive: how the
// input is cut up must make no difference.
type want func(rest string) (data string, err error)

func wantUntil(delim string, max int) want {
	return func(rest string) (string, error) {
		end := strings.Index(rest, delim) + len(delim)
		found := strings.Contains(rest, delim)
		switch {
		case found && end <= max:
			return rest[:end], nil
		case len(rest) > max:
			return "", iostream.ErrTooLong
		}
		return "", io.EOF
	}
}

func wantBytes(n int) want {
	return func(rest string) (string, error) {
		if len(rest) < n {
			return "", io.EOF
		}
		return rest[:n], nil
	}
}

func wantInto(n int) want {
	return func(rest string) (string, error) {
		if len(rest) < n {
			if rest != "" {
				return rest, io.ErrUnexpectedEOF
			}
			return "", io.EOF
		}
		return rest[:n], nil
	}
}

func wantUntilClose(max int) want {
	return func(rest string) (string, error) {
		if len(rest) > max {
			return "", iostream.ErrTooLong
		}
		return rest, nil
	}
}

// randomRead draws a read and what it must come to.
func randomRead(r *rand.Rand) (operation, want) {
	n := r.IntN(12)
	switch r.IntN(8) {
	case 0, 1, 2:
		delim := []string{"\n", "ab", "\n\n", "aab", "b\na"}[r.IntN(5)]
		return until(delim, n+1), wantUntil(delim, n+1)
	case 3:
		return untilRegexp(`b\n`, n+1), wantUntil("b\n", n+1)
	case 4, 5:
		return exactly(n), wantBytes(n)
	case 6:
		return into(n), wantInto(n)
	}
	return untilClose(n + 1), wantUntilClose(n + 1)
}

// playRandom reads a random text that arrives in random pieces through random
// reads, each in a random style.
func playRandom(t testing.TB, l *ioloop.Loop, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 0))
	text := make([]byte, r.IntN(200))
	for i := range text {
		text[i] = "aab\n"[r.IntN(4)]
	}
	options := iostreamtest.Options{RecordSize: r.IntN(2) * 1000, ReadSize: r.IntN(5)}
	m := iostreamtest.NewWire(options)
	s, err := iostream.New(l, m.Transport(), &iostream.Config{ReadLimit: 16})
	require.NoError(t, err)
	defer s.Close()
	fed := make(chan struct{})
	go func() {
		defer close(fed)
		for left := text; len(left) > 0; {
			n := 1 + r.IntN(min(len(left), 20))
			m.Arrive(left[:n])
			left = left[n:]
		}
		m.FIN()
	}()
	ops := rand.New(rand.NewPCG(seed, 1))
	rest, trace := string(text), []string(nil)
	for range 60 {
		op, model := randomRead(ops)
		f := faces[ops.IntN(len(faces))]
		data, err := model(rest)
		got := receive(t, f.read(t, s, op))
		trace = append(trace, fmt.Sprintf("%s %s: %q, %v", f.name, op.name, got.data, got.err))
		if got.data != data || (err == nil) != (got.err == nil) {
			t.Fatalf("seed %d, %+v: want %q, %v after\n%s\nof %q", seed, options, data, err, strings.Join(trace, "\n"), text)
		}
		requireIs(t, got.err, err)
		rest = rest[len(data):]
	}
	<-fed
}

func TestRandomReads(t *testing.T) {
	l := startLoop(t, ioloop.Config{})
	rounds := 1000
	if testing.Short() || raceEnabled {
		rounds = 300
	}
	for seed := range rounds {
		playRandom(t, l, uint64(seed))
	}
}
