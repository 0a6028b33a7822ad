//go:build unix || windows

package iostream_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/eddyloop/eddy/internal/allocs"
	"github.com/eddyloop/eddy/internal/posix"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/iostreamtest"
	"github.com/stretchr/testify/require"
)

// echoes are the styles that an echo server can be written in.
var echoes = []struct {
	name  string
	start func(t testing.TB, s *iostream.Stream)
}{
	{"callback", func(t testing.TB, s *iostream.Stream) {
		require.NoError(t, s.Handle(iostream.Until("\n"), func(line []byte, err error) bool {
			_, _ = s.Write(line)
			return err == nil
		}))
	}},
	{"callback each", func(t testing.TB, s *iostream.Stream) {
		var next func(line []byte, err error)
		next = func(line []byte, err error) {
			if err == nil {
				_, _ = s.Write(line)
				_ = s.ReadFunc(iostream.Until("\n"), next)
			}
		}
		require.NoError(t, s.ReadFunc(iostream.Until("\n"), next))
	}},
	{"task", func(t testing.TB, s *iostream.Stream) {
		require.NoError(t, s.Loop().Go(func(task *ioloop.Task) {
			for {
				line, err := s.Read(task, iostream.Until("\n"))
				if err != nil {
					return
				}
				_, _ = s.Write(line)
			}
		}))
	}},
	{"goroutine", func(t testing.TB, s *iostream.Stream) {
		go func() {
			for {
				line, err := s.Read(t.Context(), iostream.Until("\n"))
				if err != nil {
					return
				}
				_, _ = s.Write(line)
			}
		}()
	}},
}

// BenchmarkEcho is one 64-byte line there and back over a Unix socket pair, the
// client's two system calls included.
func BenchmarkEcho(b *testing.B) {
	for _, echo := range echoes {
		b.Run(echo.name, func(b *testing.B) {
			client := echoPair(b, echo.start)
			message, answer := []byte(strings.Repeat("x", 63)+"\n"), make([]byte, 64)
			b.ReportAllocs()
			for b.Loop() {
				roundTrip(client, message, answer)
			}
		})
	}
}

// echoPair starts an echo and returns the blocking client's end.
func echoPair(t testing.TB, start func(testing.TB, *iostream.Stream)) (client int) {
	return echoPairOn(t, startLoop(t, ioloop.Config{}), start)
}

func echoPairOn(t testing.TB, l *ioloop.Loop, start func(testing.TB, *iostream.Stream)) (client int) {
	fds, err := posix.Socketpair(posix.AF_UNIX, posix.SOCK_STREAM, 0)
	require.NoError(t, err)
	s, err := iostream.NewSocket(l, fds[0], nil)
	require.NoError(t, err)
	start(t, s)
	t.Cleanup(func() { _ = posix.Close(fds[1]) })
	return fds[1]
}

func roundTrip(client int, message, answer []byte) {
	if _, err := posix.Write(client, message); err != nil {
		panic(err)
	}
	if n, err := posix.Read(client, answer); n != len(message) || err != nil {
		panic(fmt.Sprint("short echo: ", n, err))
	}
}

// TestSteadyStateAllocatesNothing counts allocations over many messages. The
// limit of a hundredth leaves room for what the runtime does meanwhile.
func TestSteadyStateAllocatesNothing(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the calls of the test itself allocate there")
	}
	for _, echo := range echoes {
		t.Run(echo.name, func(t *testing.T) {
			if echo.name == "goroutine" || raceEnabled {
				t.Skip("a blocked goroutine and the race detector allocate on their own")
			}
			client := echoPair(t, echo.start)
			message, answer := []byte(strings.Repeat("x", 63)+"\n"), make([]byte, 64)
			average := allocs.PerRun(20, func() {
				for range 200 {
					roundTrip(client, message, answer)
				}
			})
			require.Less(t, average/200, 0.01, "allocations for each message")
		})
	}
}

// BenchmarkDribble looks for a delimiter or regexp in bytes that arrive one by
// one and have none. The time for a byte must not depend on how many there are.
func BenchmarkDribble(b *testing.B) {
	for _, op := range []operation{until("\r\n\r\n", 1<<20), untilRegexp(`\r?\n\r?\n`, 1<<20)} {
		for _, size := range []int{128 << 10, 256 << 10, 512 << 10} {
			b.Run(fmt.Sprintf("%s/%dKiB", strings.Fields(op.name)[1], size>>10), func(b *testing.B) {
				data := strings.Repeat("a\r\nb", size/4)
				for b.Loop() {
					m := iostreamtest.NewWire(iostreamtest.Options{ReadSize: 1})
					m.Arrive([]byte(data))
					s, err := iostream.New(startLoop(b, ioloop.Config{}), m.Transport(), nil)
					require.NoError(b, err)
					pending := faces[2].read(b, s, op)
					for s.Buffered() < size {
						onLoop(b, s.Loop(), func() {})
					}
					require.NoError(b, s.Close())
					receive(b, pending)
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*size), "ns/byte")
			})
		}
	}
}

// BenchmarkManySmallReads takes lines of 16 bytes out of ever larger buffers.
func BenchmarkManySmallReads(b *testing.B) {
	for _, size := range []int{128 << 10, 256 << 10, 512 << 10} {
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			config := &iostream.Config{ReadLimit: 1 << 20}
			for b.Loop() {
				m := iostreamtest.NewWire(iostreamtest.Options{})
				m.Arrive([]byte(strings.Repeat("0123456789abcde\n", size/16) + "!"))
				s, err := iostream.New(startLoop(b, ioloop.Config{}), m.Transport(), config)
				require.NoError(b, err)
				pending := faces[2].read(b, s, exactly(size+2))
				for s.Buffered() < size {
					onLoop(b, s.Loop(), func() {})
				}
				require.NoError(b, s.Close())
				receive(b, pending)
				for range size / 16 {
					if _, err := s.Read(b.Context(), iostream.Until("\n")); err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*size/16), "ns/line")
		})
	}
}
