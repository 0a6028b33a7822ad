package regexscan

import (
	"bytes"
	"math"
	"math/rand/v2"
	"regexp"
	"runtime"
	"sync"
	"testing"

	"github.com/eddyloop/eddy/internal/allocs"
	"github.com/eddyloop/eddy/internal/leaktest"
	"github.com/stretchr/testify/require"
)

// exponential has 2^17 states.
const exponential = `[ab]*a[ab]{16}x`

func randomAB(n int) []byte {
	rnd := rand.New(rand.NewPCG(1, 2))
	buf := make([]byte, n)
	for i := range buf {
		buf[i] = "ab"[rnd.IntN(2)]
	}
	return buf
}

// reachable returns the states that st holds on to, itself included.
func reachable(st *state) []*state {
	seen := map[*state]bool{st: true}
	all := []*state{st}
	for i := 0; i < len(all); i++ {
		for j := range all[i].next {
			n := all[i].next[j].Load()
			if n != nil && !n.final() && !seen[n] {
				seen[n] = true
				all = append(all, n)
			}
		}
	}
	return all
}

func TestMemoryIsBounded(t *testing.T) {
	re := regexp.MustCompile(exponential)
	p := newProgram(re, exponential, defaultBudget)
	d := p.variants[0]
	buf := randomAB(128 << 10)

	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	flushes, last := 0, 0
	for n := 64; n <= len(buf); n += 64 {
		sc := p.NewScanner() // it gives the automaton up soon
		require.Equal(t, -1, sc.Scan(buf[n-64:n]))
		require.LessOrEqual(t, d.size, d.budget)
		if len(d.states) < last {
			flushes++
		}
		last = len(d.states)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	require.Greater(t, flushes, 10)
	require.Less(t, int64(after.HeapAlloc)-int64(before.HeapAlloc), int64(2*defaultBudget))
	for _, st := range reachable(d.start) {
		require.True(t, st.live)
	}
	runtime.KeepAlive(p)
}

func TestParkedScannerHoldsOneState(t *testing.T) {
	re := regexp.MustCompile(exponential)
	p := newProgram(re, exponential, 64<<10)
	buf := randomAB(8 << 10)

	parked, ahead, busy := p.NewScanner(), p.NewScanner(), p.NewScanner()
	require.Equal(t, -1, parked.Scan(buf[:50]))
	require.Equal(t, -1, ahead.Scan(buf[:60]))
	st := parked.cursors[0].state
	require.True(t, st.live)
	require.Greater(t, len(reachable(st)), 5)

	require.Equal(t, -1, busy.Scan(buf))
	require.False(t, st.live)
	require.Len(t, reachable(st), 1)

	// Going on must not fill it again.
	require.Equal(t, -1, parked.Scan(buf[:70]))
	require.NotSame(t, st, parked.cursors[0].state)
	require.Len(t, reachable(st), 1)
	done := append(bytes.Clone(buf[:70]), "aaaaaaaaaaaaaaaaax"...)
	require.Equal(t, len(done), parked.Scan(done))
}

// TestStatesAreShared checks that runes which make no difference
// do not make states.
func TestStatesAreShared(t *testing.T) {
	tests := []struct {
		expr   string
		states int
	}{
		{`[a-c]x`, 2},
		{`^a[^b]!`, 1},    // after a, then rejected
		{`a\b!`, 2},       // after a, else
		{`\ba!`, 3},       // after a, after a word rune, else
		{`(?m)^a!`, 3},    // after a, after a newline, else
		{`a(?m)$!`, 2},    // after a, else
		{`(a.*|b.*)!`, 4}, // after a, b, a and b in any order, else
	}
	for _, tt := range tests {
		t.Run(tt.expr, func(t *testing.T) {
			p := newProgram(regexp.MustCompile(tt.expr), tt.expr, defaultBudget)
			s := p.NewScanner()
			s.Scan([]byte("ab.\n ab\nba ac\n\n.bb.éaa\n b.a"))
			require.Len(t, p.variants[0].states, tt.states)
		})
	}
}

// TestConcurrent has many goroutines fill, follow and flush one graph.
func TestConcurrent(t *testing.T) {
	leaktest.Check(t)
	for _, expr := range []string{`[ab]*a[ab]{3}c\b`, `(?i)^k+$|\pL[^a]\n`, `^a[^b]+c$`} {
		re := regexp.MustCompile(expr)
		for _, budget := range []int{0, 2000, defaultBudget} {
			p := newProgram(re, expr, budget)
			var wg sync.WaitGroup
			for i := range 16 {
				wg.Go(func() {
					g := generator{Rand: rand.New(rand.NewPCG(uint64(i), uint64(budget)))}
					for range 60 {
						run(t, p, g.Rand, g.input(), g.input())
					}
				})
			}
			wg.Wait()
			requireRightVariant(t, p, false)
		}
	}
}

func TestForConcurrent(t *testing.T) {
	leaktest.Check(t)
	re := regexp.MustCompile(`(?m)^[\pL\pN]+$`)
	got := make([]*Program, 16)
	var wg sync.WaitGroup
	for i := range got {
		wg.Go(func() { got[i] = For(re) })
	}
	wg.Wait()
	for _, p := range got {
		require.Same(t, got[0], p)
	}
}

// TestLinear scans a buffer whose bytes arrive one by one. What has been scanned
// is overwritten with a match, which whoever looked at it again would find: each
// arrival must cost what it brings and not what there is.
func TestLinear(t *testing.T) {
	for _, test := range []struct{ expr, match string }{
		{`[ab]*c[ab]*d`, "cd"},
		{`aaaaaaaaaaaaaaaaaaaaaaaaaaaac`, "aaaaaaaaaaaaaaaaaaaaaaaaaaaac"},
		{`(a|b)+[^ab][ab]$`, "ac"},
	} {
		buf := randomAB(64 << 10)
		sc := For(regexp.MustCompile(test.expr)).NewScanner()
		for n := range buf {
			if end := sc.Scan(buf[:n]); end != -1 {
				require.Equal(t, -1, end, "%s after %d bytes", test.expr, n)
			}
			if n%len(test.match) == 0 {
				copy(buf[max(0, n-len(test.match)):n], test.match)
			}
		}
	}
}

// TestThrashing: an automaton that does not fit is given up, with the same results, and
// taken up again where it fits.
func TestThrashing(t *testing.T) {
	for _, expr := range []string{exponential, `(?m)[ab]*a[ab]{16}$`, `^[ab]*a[ab]{14}\b[^x]`} {
		re := regexp.MustCompile(expr)
		p := newProgram(re, expr, 64<<10)
		d := p.variants[0]
		buf := randomAB(32 << 10)
		first := p.NewScanner()
		first.Scan(buf[:16<<10])
		require.True(t, d.flushed.Load(), expr)
		sc := p.NewScanner()
		for n := 0; n <= len(buf); n += 1111 {
			require.Equal(t, end(re, buf[:n]), sc.Scan(buf[:n]), expr)
		}
		require.Less(t, sc.cursors[0].built, len(buf)/bytesPerBuild/10, expr)
		for _, tail := range []string{"aaaaaaaaaaaaaaaaax", "é", "\xe2", " y"} {
			done := append(bytes.Clone(buf), tail...)
			rest := sc
			for n := len(buf); n <= len(done); n++ {
				require.Equal(t, end(re, done[:n]), rest.Scan(done[:n]), "%s %q", expr, tail)
			}
		}
		calm := append(bytes.Clone(buf), bytes.Repeat([]byte("b"), 100<<10)...)
		before := sc.cursors[0].built
		sc.Scan(calm)
		require.Less(t, sc.cursors[0].built, before+100, "it follows known transitions: %s", expr)
	}
}

// TestThrashingWithin an arrival that ends anywhere: in a match, behind one that was possible
// only there, within a rune.
func TestThrashingWithin(t *testing.T) {
	for _, expr := range []string{exponential, `(?m)[ab]*a[ab]{16}$`, `^[ab]*a[ab]{14}\b[^x]`, `[ab]*a[ab]{14}\x{FFFD}{2}`} {
		re := regexp.MustCompile(expr)
		p := newProgram(re, expr, 16<<10)
		buf := randomAB(2 << 10)
		begun := p.NewScanner()
		begun.Scan(buf[:1<<10])
		require.Positive(t, begun.cursors[0].simulated, expr)
		for n := 1500; n < 1516; n++ {
			for _, tail := range []string{"", "x", "é", "\xe2\x82", "\xe2\x82y", "€", "\xf0\x9f\x98", " y", "\n", "y"} {
				sc, arrived := begun, append(bytes.Clone(buf[:n]), tail...)
				require.Equal(t, end(re, arrived), sc.Scan(arrived), "%s %d %q", expr, n, tail)
				require.Greater(t, sc.cursors[0].simulated, begun.cursors[0].simulated)
				simulated := sc.cursors[0].simulated
				require.Equal(t, end(re, arrived), sc.Scan(arrived), "%s %d %q, nothing new", expr, n, tail)
				require.Equal(t, simulated, sc.cursors[0].simulated)
				arrived = append(arrived, "\xac ab"...)
				require.Equal(t, end(re, arrived), sc.Scan(arrived), "%s %d %q, more", expr, n, tail)
			}
		}
	}
}

// TestThrashingIsOver when no further text can make a difference.
func TestThrashingIsOver(t *testing.T) {
	const expr = `^[ab]*a[ab]{14}!`
	p := newProgram(regexp.MustCompile(expr), expr, 64<<10)
	buf := randomAB(16 << 10)
	sc := p.NewScanner()
	sc.Scan(buf[:8<<10])
	require.Equal(t, -1, sc.Scan(append(bytes.Clone(buf), "?!"...)))
	require.Same(t, rejected, sc.cursors[0].state)
}

// TestThrashes: what a search has to come to before it gives the automaton up.
func TestThrashes(t *testing.T) {
	const bytes = fewBuilds * bytesPerBuild
	for _, test := range []struct {
		built, simulated, pos int
		flushed, want         bool
	}{
		{fewBuilds, 0, bytes - 1, true, true},
		{fewBuilds, 0, bytes - 1, false, false},
		{fewBuilds, 0, bytes, true, false},
		{fewBuilds - 1, 0, 0, true, false},
		{fewBuilds, 100 * bytesPerTry, 100*bytesPerTry + bytes - 101, true, true},
		{fewBuilds, 100 * bytesPerTry, 100*bytesPerTry + bytes - 100, true, false},
	} {
		d, c := &dfa{}, cursor{built: test.built, simulated: test.simulated}
		d.flushed.Store(test.flushed)
		require.Equal(t, test.want, c.thrashes(d, test.pos), test)
	}
}

// TestBudget: states that fill it to the byte stay.
func TestBudget(t *testing.T) {
	const expr = `[ab]*a[ab]{3}x`
	scan := func(budget int) *dfa {
		p := newProgram(regexp.MustCompile(expr), expr, budget)
		sc := p.NewScanner()
		sc.Scan(randomAB(1 << 10))
		return p.variants[0]
	}
	all := scan(defaultBudget)
	require.False(t, all.flushed.Load())
	require.False(t, scan(all.size).flushed.Load())
	require.True(t, scan(all.size-1).flushed.Load())
}

// TestGenerationsWrap: what was visited in the generations before the wrap is forgotten.
func TestGenerationsWrap(t *testing.T) {
	l := leaves{seen: []uint32{0, 1, math.MaxUint32}, gen: math.MaxUint32}
	l.reset()
	for pc := range uint32(3) {
		require.True(t, l.visit(pc))
		require.False(t, l.visit(pc))
	}
}

// TestThrashingAllocates as much as each arrival and not as much as its bytes.
func TestThrashingAllocates(t *testing.T) {
	p := newProgram(regexp.MustCompile(exponential), exponential, 64<<10)
	buf := randomAB(64 << 10)
	sc := p.NewScanner()
	sc.Scan(buf[:32<<10])
	least := allocs.PerRun(5, func() {
		again := sc
		again.Scan(buf[:33<<10])
	})
	require.Less(t, least, float64(50))
}

func end(re *regexp.Regexp, buf []byte) int {
	if loc := re.FindIndex(buf); loc != nil {
		return loc[1]
	}
	return -1
}
