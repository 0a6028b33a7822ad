//go:build unix

package iostream_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"testing"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/stretchr/testify/require"
)

// copies are the ways to copy from a stream to another one on a goroutine.
var copies = map[string]func(dst, src *iostream.Conn, limit *io.LimitedReader) (int64, error){
	"conns": func(dst, src *iostream.Conn, limit *io.LimitedReader) (int64, error) {
		if limit == nil {
			return io.Copy(dst, src)
		}
		limit.R = src
		return io.Copy(dst, limit)
	},
	"streams": func(dst, src *iostream.Conn, limit *io.LimitedReader) (int64, error) {
		ctx := context.Background()
		defer dst.Stream().Flush(ctx)
		if limit == nil {
			return dst.Stream().ReadFrom(src.Stream().IO(ctx))
		}
		limit.R = src.Stream().IO(ctx)
		return dst.Stream().ReadFrom(limit)
	},
	"IO": func(dst, src *iostream.Conn, limit *io.LimitedReader) (int64, error) {
		ctx := context.Background()
		defer dst.Stream().Flush(ctx)
		if limit == nil {
			return io.Copy(dst.Stream().IO(ctx), src.Stream().IO(ctx))
		}
		limit.R = src.Stream().IO(ctx)
		return io.Copy(dst.Stream().IO(ctx), limit)
	},
	"IO to a stream": func(dst, src *iostream.Conn, limit *io.LimitedReader) (int64, error) {
		ctx := context.Background()
		defer dst.Stream().Flush(ctx)
		r := src.Stream().IO(ctx)
		if limit == nil {
			return io.Copy(dst.Stream(), r)
		}
		limit.R = r
		return io.Copy(dst.Stream(), limit)
	},
	"IO to a Conn": func(dst, src *iostream.Conn, limit *io.LimitedReader) (int64, error) {
		r := src.Stream().IO(context.Background())
		if limit == nil {
			return io.Copy(dst, r)
		}
		limit.R = r
		return io.Copy(dst, limit)
	},
}

// TestCopy has a copy arrive, and with it what io.Copy tells, over all transports.
func TestCopy(t *testing.T) {
	text := randomText(t, 2<<20+17)
	cases := map[string]struct {
		size  int
		limit int64 // -1: none
	}{
		"nothing":           {0, -1},
		"small":             {5, -1},
		"pieces":            {100_000, -1},
		"bulk":              {len(text), -1},
		"nothing of bulk":   {len(text), 0},
		"a part":            {100_000, 70_001},
		"a part of bulk":    {len(text), 1<<20 + 1},
		"the whole of bulk": {len(text), int64(len(text))},
		"less than a part":  {1 << 20, 4 << 20},
	}
	eachNetwork(t, func(t *testing.T, network string) {
		for style, run := range copies {
			for name, c := range cases {
				t.Run(style+" "+name, func(t *testing.T) {
					l := startLoop(t, ioloop.Config{})
					_, src, from := netPair(t, l, network)
					s, dst, to := netPair(t, l, network)
					want := text[:c.size]
					var limit *io.LimitedReader
					if c.limit >= 0 {
						limit = &io.LimitedReader{N: c.limit}
						want = want[:min(c.size, int(c.limit))]
					}
					go func() {
						_, _ = from.Write(text[:c.size])
						_ = from.(*iostream.Conn).CloseWrite()
					}()
					got := make(chan []byte, 1)
					go func() { b, _ := io.ReadAll(to); got <- b }()
					send(t, dst, "before")
					n, err := run(dst.(*iostream.Conn), src.(*iostream.Conn), limit)
					require.NoError(t, err)
					require.EqualValues(t, len(want), n)
					send(t, dst, "behind")
					require.EqualValues(t, len(want)+12, s.Mark())
					require.NoError(t, dst.(*iostream.Conn).CloseWrite())
					b := receive(t, got)
					require.True(t, bytes.Equal(append(append([]byte("before"), want...), "behind"...), b), "%d bytes", len(b))
					if limit != nil {
						require.Equal(t, c.limit-n, limit.N)
						rest, err := io.ReadAll(src)
						require.NoError(t, err)
						require.True(t, bytes.Equal(text[n:c.size], rest), "what is not copied is still there")
					}
				})
			}
		}
	})
}

// TestCopyProxy runs a proxy of two copies, both ways at once, of streams on two loops.
func TestCopyProxy(t *testing.T) {
	eachNetwork(t, func(t *testing.T, network string) {
		there, back := randomText(t, 9<<20+1), randomText(t, 7<<20+3)
		_, a, client := netPair(t, startLoop(t, ioloop.Config{}), network)
		_, b, server := netPair(t, startLoop(t, ioloop.Config{}), network)
		counts := make(chan string, 2)
		pass := func(name string, dst, src net.Conn) {
			n, err := io.Copy(dst, src)
			_ = dst.(*iostream.Conn).CloseWrite()
			counts <- fmt.Sprintf("%s %d %v", name, n, err)
		}
		go pass("there", b, a)
		go pass("back", a, b)
		got := make(chan []byte, 1)
		for c, text := range map[net.Conn][]byte{client: there, server: back} {
			go func() {
				_, _ = c.Write(text)
				_ = c.(*iostream.Conn).CloseWrite()
			}()
		}
		go func() { all, _ := io.ReadAll(server); got <- all }()
		all, err := io.ReadAll(client)
		require.NoError(t, err)
		require.True(t, bytes.Equal(back, all))
		require.True(t, bytes.Equal(there, receive(t, got)))
		require.ElementsMatch(t, []string{receive(t, counts), receive(t, counts)},
			[]string{fmt.Sprintf("there %d <nil>", len(there)), fmt.Sprintf("back %d <nil>", len(back))})
	})
}

// TestCopyToItself is an echo.
func TestCopyToItself(t *testing.T) {
	eachNetwork(t, func(t *testing.T, network string) {
		text := randomText(t, 9<<20)
		_, c, client := netPair(t, startLoop(t, ioloop.Config{}), network)
		done := make(chan error, 1)
		go func() {
			_, err := io.Copy(c, c)
			_ = c.(*iostream.Conn).CloseWrite()
			done <- err
		}()
		go func() {
			_, _ = client.Write(text)
			_ = client.(*iostream.Conn).CloseWrite()
		}()
		got, err := io.ReadAll(client)
		require.NoError(t, err)
		require.True(t, bytes.Equal(text, got))
		require.NoError(t, receive(t, done))
	})
}

// TestCopyBesideAWriter has others write to the stream meanwhile: no byte is lost, and theirs
// go through.
func TestCopyBesideAWriter(t *testing.T) {
	eachNetwork(t, func(t *testing.T, network string) {
		text := randomText(t, 9<<20)
		for i := range text {
			text[i] &= 0x7f
		}
		l := startLoop(t, ioloop.Config{})
		_, src, from := netPair(t, l, network)
		s, dst, to := netPair(t, l, network)
		go func() {
			_, _ = from.Write(text)
			_ = from.(*iostream.Conn).CloseWrite()
		}()
		got := make(chan []byte, 1)
		go func() { b, _ := io.ReadAll(to); got <- b }()
		stop, others := make(chan struct{}), make(chan int, 1)
		go func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					others <- n
					return
				default:
					_ = s.Room(context.Background())
					_, _ = s.Write([]byte{0xff})
				}
			}
		}()
		n, err := io.Copy(dst, src)
		require.NoError(t, err)
		require.EqualValues(t, len(text), n)
		close(stop)
		written := receive(t, others)
		require.NoError(t, dst.(*iostream.Conn).CloseWrite())
		b := receive(t, got)
		require.Equal(t, written, bytes.Count(b, []byte{0xff}))
		require.True(t, bytes.Equal(text, bytes.ReplaceAll(b, []byte{0xff}, nil)), "in order")
	})
}
