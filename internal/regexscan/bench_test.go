package regexscan

import (
	"bytes"
	"fmt"
	"math"
	"regexp"
	"testing"
	"time"
)

const benchSize = 128 << 10

// benchmarks are patterns with text, repeated, that they nearly match.
var benchmarks = []struct {
	expr, text string
}{
	{`END\r\n`, "END\rEN "},
	{`\r?\n\r?\n`, "header: value\r\n x"},
	{`(?i)end[0-9]+\r\n`, "end of line 12345\r\n eNd12 "},
	{`(?m)^\.\r$`, "some text.\r\n..\r\n"},
	{`[\pL\pN]+@[\pL\pN]+!`, "größe@maß überß "},
	{`(a|b)*c\d{20}z`, "ababc0123456789ab"},
	{`(?s)begin.*end$`, "begin some text en "},
	{`<!--.*?-->`, "<!-- a comment ->"},
	{`^[^x]*end\r\n`, "an end\ror end\n x"}, // two variants
	{exponential, ""},
}

func benchText(text string, n int) []byte {
	if text == "" {
		return randomAB(n)
	}
	return bytes.Repeat([]byte(text), n/len(text)+1)[:n]
}

// arrive delivers buf in single bytes.
func arrive(b *testing.B, re *regexp.Regexp, buf []byte) time.Duration {
	start := time.Now()
	sc := For(re).NewScanner()
	for n := range buf {
		if end := sc.Scan(buf[:n+1]); end >= 0 {
			b.Fatalf("%#q matches: %q", re, buf[:end])
		}
	}
	return time.Since(start)
}

// BenchmarkArrivals reports the cost per byte of single-byte arrivals,
// and by how much the whole cost grows when the input doubles.
func BenchmarkArrivals(b *testing.B) {
	for _, bm := range benchmarks {
		b.Run(fmt.Sprintf("%q", bm.expr), func(b *testing.B) {
			re := regexp.MustCompile(bm.expr)
			var best [3]time.Duration
			for b.Loop() {
				for i := range best {
					took := arrive(b, re, benchText(bm.text, benchSize<<i))
					if best[i] == 0 || took < best[i] {
						best[i] = took
					}
				}
			}
			for i, took := range best {
				b.ReportMetric(float64(took)/float64(int(benchSize)<<i), fmt.Sprintf("ns/B@%dK", 128<<i))
			}
			b.ReportMetric(math.Sqrt(float64(best[2])/float64(best[0])), "x/doubling")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// BenchmarkOneShot compares one large arrival with package regexp.
func BenchmarkOneShot(b *testing.B) {
	for _, bm := range benchmarks {
		re := regexp.MustCompile(bm.expr)
		buf := benchText(bm.text, benchSize)
		p := For(re)
		b.Run(fmt.Sprintf("%q/scan", bm.expr), func(b *testing.B) {
			b.SetBytes(benchSize)
			for b.Loop() {
				sc := p.NewScanner()
				sc.Scan(buf)
			}
		})
		b.Run(fmt.Sprintf("%q/regexp", bm.expr), func(b *testing.B) {
			b.SetBytes(benchSize)
			for b.Loop() {
				re.FindIndex(buf)
			}
		})
	}
}

// BenchmarkCompile is the cost of a program that is not in the cache.
func BenchmarkCompile(b *testing.B) {
	for _, bm := range benchmarks {
		b.Run(fmt.Sprintf("%q", bm.expr), func(b *testing.B) {
			re := regexp.MustCompile(bm.expr)
			b.ReportAllocs()
			for b.Loop() {
				newProgram(re, bm.expr, defaultBudget)
			}
		})
	}
}

// BenchmarkThrash is an automaton that does not fit, on several goroutines that use it
// at once, in arrivals of 1 KiB.
func BenchmarkThrash(b *testing.B) {
	re := regexp.MustCompile(exponential)
	p := For(re)
	buf := benchText("", benchSize)
	b.Run("scan", func(b *testing.B) {
		b.SetBytes(benchSize)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				sc := p.NewScanner()
				for n := 1024; n <= len(buf); n += 1024 {
					sc.Scan(buf[:n])
				}
			}
		})
	})
	b.Run("regexp", func(b *testing.B) {
		b.SetBytes(benchSize)
		for b.Loop() {
			re.FindIndex(buf)
		}
	})
}
