package iostream

import (
	"strings"
	"testing"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/poller"
)

// source is a transport that always has the same input and takes everything.
type source struct{ input string }

func (source) Attach(*ioloop.Loop, ioloop.Handler) error { return nil }
func (source) Arm(*ioloop.Loop, poller.Interest) error   { return nil }
func (s source) Read(p []byte) (int, error)              { return copy(p, s.input), nil }
func (source) Flush() error                              { return nil }
func (source) Unsent() int                               { return 0 }
func (source) Buffered() bool                            { return false }
func (source) Want() (read, write poller.Interest)       { return poller.Readable, poller.Writable }
func (source) Probe() error                              { return nil }
func (source) CloseWrite() error                         { return nil }
func (source) Close(*ioloop.Loop) error                  { return nil }

func (source) Write(bufs [][]byte) (n int, err error) {
	for _, b := range bufs {
		n += len(b)
	}
	return n, nil
}

// BenchmarkPump is what an echo costs in user space alone: everything but the
// system calls.
func BenchmarkPump(b *testing.B) {
	for _, lines := range []int{1, 16} {
		b.Run(map[int]string{1: "1 line", 16: "16 lines"}[lines], func(b *testing.B) {
			l, err := ioloop.New(ioloop.Config{})
			if err != nil {
				b.Fatal(err)
			}
			defer l.Close()
			s, err := New(l, &source{strings.Repeat(strings.Repeat("x", 63)+"\n", lines)}, nil)
			if err != nil {
				b.Fatal(err)
			}
			_ = s.HandleUntil("\n", 0, func(line []byte, err error) bool {
				_, _ = s.Write(line)
				return err == nil
			})
			s.pump(0, 0)
			b.ReportAllocs()
			for b.Loop() {
				s.pump(poller.Readable, 0)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*lines), "ns/line")
		})
	}
}
