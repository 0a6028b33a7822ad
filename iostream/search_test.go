package iostream

import (
	"bytes"
	"fmt"
	"regexp"
	"testing"
	"time"

	"github.com/eddyloop/eddy/internal/regexscan"
	"github.com/stretchr/testify/require"
)

// searches are reads that find nothing in text, though it looks much like it.
var searches = []struct {
	name, text string
	op         func() readOp
}{
	{"delimiter", "a\r\nb", func() readOp { return readOp{kind: readUntil, delim: "\r\n\r\n", size: 1 << 20} }},
	{"regexp", "a\r\nb", func() readOp {
		scanner := regexscan.For(regexp.MustCompile(`\r?\n\r?\n`)).NewScanner()
		return readOp{kind: readRegexp, scan: &scanner, size: 1 << 20}
	}},
}

// BenchmarkSearch is what it costs to look for the end of a message whose bytes
// come one by one: for each byte, and how the whole grows when the input
// doubles, from 128 KiB to 256 and 512.
func BenchmarkSearch(b *testing.B) {
	for _, search := range searches {
		b.Run(search.name, func(b *testing.B) {
			var best [3]time.Duration
			for b.Loop() {
				for i := range best {
					size := 128 << 10 << i
					took := searchBytewise(b, search.op(), bytes.Repeat([]byte(search.text), size/4))
					if best[i] == 0 || took < best[i] {
						best[i] = took
					}
				}
			}
			b.ReportMetric(float64(best[1].Nanoseconds())/(256<<10), "ns/byte")
			for i := range 2 {
				b.ReportMetric(float64(best[i+1])/float64(best[i]), fmt.Sprintf("x/%dKiB", 256<<i))
			}
		})
	}
}

func searchBytewise(b *testing.B, op readOp, input []byte) time.Duration {
	start := time.Now()
	for n := range input {
		if end, err := op.match(input[:n+1]); end >= 0 || err != nil {
			b.Fatal(end, err)
		}
	}
	return time.Since(start)
}

// A byte that has been looked at in vain is not looked at again.
func TestDelimiterIsSearchedOnce(t *testing.T) {
	for _, c := range []struct{ delim, before, after string }{
		{"\n", "abcd", "\nbcd"},
		{"\r\n", "abcd", "\r\ncd"},
	} {
		op := readOp{kind: readUntil, delim: c.delim, size: 100}
		for _, text := range []string{c.before, c.after} {
			n, err := op.matchDelimiter([]byte(text))
			require.NoError(t, err)
			require.Equal(t, -1, n, "%q", text)
		}
		n, err := op.matchDelimiter([]byte(c.after + c.delim))
		require.NoError(t, err)
		require.Equal(t, len(c.after+c.delim), n)
	}
}

// What has been searched is not searched again, and what was found is found at once.
func TestSearchGoesOn(t *testing.T) {
	for _, delim := range []string{"\n", "\r\n"} {
		s := &Stream{in: input{data: []byte("abcdef")}}
		op := readOp{kind: readUntil, delim: delim, size: 100}
		_, ok := s.next(&op)
		require.False(t, ok)
		require.EqualValues(t, 6, op.scanned)
		s.in.data = append(s.in.data, "gh"+delim+"i"...)
		for range 2 {
			n, err := s.match(&op)
			require.NoError(t, err)
			require.Equal(t, 8+len(delim), n)
			require.EqualValues(t, n-1, op.scanned)
		}
	}
}
