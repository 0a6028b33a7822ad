//go:build unix || windows

package iostream_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/eddyloop/eddy/internal/posix"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/stretchr/testify/require"
)

const bulkSize = 100 << 20

// bulkReads are ways to read 100 MiB that end in a newline.
var bulkReads = []struct {
	name string
	read func(b *testing.B, fd int)
}{
	{"loop", func(b *testing.B, fd int) {
		buf := make([]byte, bulkSize)
		for n := 0; n < bulkSize; {
			m, err := posix.Read(fd, buf[n:])
			if err != nil || m == 0 {
				b.Fatal(m, err)
			}
			n += m
		}
		_ = posix.Close(fd)
	}},
	{"bytes", streamed(func(s *iostream.Stream) (int, error) {
		data, err := s.Read(context.Background(), iostream.Bytes(bulkSize))
		return len(data), err
	})},
	{"until", streamed(func(s *iostream.Stream) (int, error) {
		data, err := s.Read(context.Background(), iostream.Until("\n"))
		return len(data), err
	})},
}

func streamed(read func(*iostream.Stream) (int, error)) func(*testing.B, int) {
	return func(b *testing.B, fd int) {
		l, err := ioloop.New(ioloop.Config{})
		require.NoError(b, err)
		defer l.Close()
		go func() { _ = l.Run(context.Background()) }()
		s, err := iostream.NewSocket(l, fd, &iostream.Config{ReadLimit: 2 * bulkSize})
		require.NoError(b, err)
		n, err := read(s)
		require.NoError(b, err)
		require.Equal(b, bulkSize, n)
	}
}

// BenchmarkBulk reads 100 MiB at once, beside a loop of reads into a buffer of
// that size, one after the other, and reports the median of the ratios.
func BenchmarkBulk(b *testing.B) {
	data := make([]byte, bulkSize)
	data[bulkSize-1] = '\n'
	var took [3][]float64
	for b.Loop() {
		for i, r := range bulkReads {
			fds, err := posix.Socketpair(posix.AF_UNIX, posix.SOCK_STREAM, 0)
			require.NoError(b, err)
			done := make(chan struct{})
			go func() {
				defer close(done)
				for sent := 0; sent < len(data); {
					n, err := posix.Write(fds[1], data[sent:])
					if err != nil {
						return
					}
					sent += n
				}
			}()
			start := time.Now()
			r.read(b, fds[0])
			took[i] = append(took[i], float64(time.Since(start)))
			<-done
			_ = posix.Close(fds[1])
		}
	}
	for i, r := range bulkReads[1:] {
		var ratios []float64
		for round, base := range took[0] {
			ratios = append(ratios, took[i+1][round]/base)
		}
		b.ReportMetric(median(ratios), r.name+"/loop")
	}
}

func median(values []float64) float64 {
	slices.Sort(values)
	return values[len(values)/2]
}
