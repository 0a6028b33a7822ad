//go:build unix || windows

package iostream_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/iostreamtest"
	"github.com/stretchr/testify/require"
)

// puppet is a stream on a loop that runs step by step, its wire, and what its
// functions were told.
type puppet struct {
	*iostream.Stream
	t     *testing.T
	world *iostreamtest.World
	wire  *iostreamtest.Wire
	told  []string
}

func newPuppet(t *testing.T, o iostreamtest.Options, config *iostream.Config) *puppet {
	t.Helper()
	p := &puppet{t: t, world: iostreamtest.NewWorld(), wire: iostreamtest.NewWire(o)}
	t.Cleanup(func() { _ = p.world.Close() })
	s, err := iostream.New(p.world.Loop, p.wire.Transport(), config)
	require.NoError(t, err)
	p.Stream = s
	return p
}

// tell notes a message or an error.
func (p *puppet) tell(msg []byte, err error) {
	if err != nil {
		p.told = append(p.told, fmt.Sprintf("%s, %v", msg, cause(err)))
		return
	}
	p.told = append(p.told, string(msg))
}

func cause(err error) error {
	if e, ok := err.(*iostream.Error); ok {
		return e.Err
	}
	return err
}

// arrive has data arrive and expects what is told of it.
func (p *puppet) arrive(data string, told ...string) {
	p.t.Helper()
	p.wire.Arrive([]byte(data))
	p.expect(told...)
}

func (p *puppet) expect(told ...string) {
	p.t.Helper()
	require.NoError(p.t, p.world.Settle())
	require.Equal(p.t, told, p.told)
	p.told = nil
}

// eachSize runs a test with all input at once and byte by byte.
func eachSize(t *testing.T, run func(t *testing.T, o iostreamtest.Options)) {
	for _, size := range []int{0, 1, 3} {
		t.Run(fmt.Sprint("read size ", size), func(t *testing.T) { run(t, iostreamtest.Options{ReadSize: size}) })
	}
}

// TestSetFrame reads a header and then a body, without a Post and without
// another read.
func TestSetFrame(t *testing.T) {
	eachSize(t, func(t *testing.T, o iostreamtest.Options) {
		p := newPuppet(t, o, nil)
		header, inBody := iostream.Until("\n"), false
		require.NoError(t, p.Handle(header, func(msg []byte, err error) bool {
			p.tell(msg, err)
			if err != nil {
				return false
			}
			if inBody = !inBody; !inBody {
				require.NoError(t, p.SetFrame(header))
				return true
			}
			n, _ := strconv.Atoi(strings.TrimSpace(string(msg)))
			require.NoError(t, p.SetFrame(iostream.Bytes(n)))
			return true
		}))
		p.arrive("3\nabc0\n1\n\n2\nxy", "3\n", "abc", "0\n", "", "1\n", "\n", "2\n", "xy")
		p.wire.FIN()
		p.expect(", EOF")
	})
}

func TestSetFrameRefused(t *testing.T) {
	p := newPuppet(t, iostreamtest.Options{}, &iostream.Config{ReadLimit: 100})
	line := iostream.Until("\n")
	requireIs(t, p.SetFrame(line), iostream.ErrInvalid)
	require.NoError(t, p.ReadFunc(line, p.tell))
	requireIs(t, p.SetFrame(line), iostream.ErrInvalid)
	p.arrive("a\n", "a\n")
	require.NoError(t, p.Handle(line, func(msg []byte, err error) bool {
		p.tell(msg, err)
		requireIs(t, p.SetFrame(iostream.Bytes(101)), iostream.ErrTooLong)
		requireIs(t, p.SetFrame(iostream.Until("")), iostream.ErrInvalid)
		requireIs(t, p.SetFrame(iostream.Frame{}), iostream.ErrInvalid)
		return err == nil
	}))
	requireIs(t, p.SetFrame(iostream.Bytes(1)), iostream.ErrReadPending)
	p.arrive("b\nc\n", "b\n", "c\n")
}

// TestSetFrameAnytime sets the frame while the read is paused, at the end of the
// stream and after Abort's like.
func TestSetFrameAnytime(t *testing.T) {
	start := func(t *testing.T) *puppet {
		p := newPuppet(t, iostreamtest.Options{}, nil)
		require.NoError(t, p.Handle(iostream.Until("\n"), func(msg []byte, err error) bool {
			p.tell(msg, err)
			p.Pause()
			return true
		}))
		p.arrive("one\ntwo\nthree", "one\n")
		return p
	}
	t.Run("paused", func(t *testing.T) {
		p := start(t)
		require.NoError(t, p.SetFrame(iostream.Bytes(2)))
		p.expect()
		p.Resume()
		p.expect("tw")
		p.Resume()
		p.expect("o\n")
	})
	t.Run("end of stream", func(t *testing.T) {
		p := start(t)
		p.wire.FIN()
		p.expect()
		require.NoError(t, p.SetFrame(iostream.UntilClose()))
		p.Resume()
		p.expect("two\nthree")
		p.Resume()
		p.expect(", EOF")
	})
	t.Run("reset", func(t *testing.T) {
		p := start(t)
		p.wire.Reset(syscall.ECONNRESET)
		p.world.Settle()
		p.Resume()
		require.NoError(t, p.world.Settle())
		require.Error(t, p.Err())
		require.NotEmpty(t, p.told)
	})
}

func TestPause(t *testing.T) {
	eachSize(t, func(t *testing.T, o iostreamtest.Options) {
		p := newPuppet(t, o, nil)
		p.Pause() // there is nothing
		p.Resume()
		require.NoError(t, p.Handle(iostream.Until("\n"), func(msg []byte, err error) bool {
			p.tell(msg, err)
			if string(msg) == "stop\n" {
				p.Pause()
			}
			return true
		}))
		p.arrive("go\nstop\nstop\ngo\n", "go\n", "stop\n")
		p.Resume()
		p.expect("stop\n")
		require.NoError(t, p.world.Settle())
		reads := p.wire.State().Reads
		p.arrive(strings.Repeat("much\n", 1000))
		require.LessOrEqual(t, p.wire.State().Reads-reads, 1, "nothing is received while paused")
		p.Pause()
		p.Resume()
		require.NoError(t, p.world.Settle())
		require.Len(t, p.told, 1001)
		p.told = nil
		p.Pause()
		p.arrive("x\n")
		require.NoError(t, p.SetReadDeadline(time.Unix(1, 0)))
		p.expect(", " + os.ErrDeadlineExceeded.Error())
		requireIs(t, p.SetFrame(iostream.Bytes(1)), iostream.ErrInvalid)
	})
}

// TestTakeOver goes on from within a repeating read in every other style.
func TestTakeOver(t *testing.T) {
	styles := map[string]func(p *puppet){
		"callback": func(p *puppet) { require.NoError(p.t, p.ReadFunc(iostream.Bytes(3), p.tell)) },
		"repeating": func(p *puppet) {
			require.NoError(p.t, p.Handle(iostream.Bytes(3), func(b []byte, err error) bool { p.tell(b, err); return false }))
		},
		"waiting": func(p *puppet) { p.tell(p.Read(context.Background(), iostream.Bytes(3))) },
		"peek":    func(p *puppet) { p.tell(p.Read(context.Background(), iostream.Peek(3))) },
		"into": func(p *puppet) {
			b := make([]byte, 3)
			require.NoError(p.t, p.ReadAtLeastFunc(b, len(b), func(n int, err error) { p.tell(b[:n], err) }))
		},
	}
	for name, next := range styles {
		for _, more := range []bool{false, true} {
			t.Run(fmt.Sprint(name, " ", more), func(t *testing.T) {
				p := newPuppet(t, iostreamtest.Options{}, nil)
				require.NoError(t, p.Handle(iostream.Until("\n"), func(msg []byte, err error) bool {
					was := string(msg)
					p.tell(msg, err)
					next(p)
					require.Equal(t, was, string(msg), "the message is the function's until it returns")
					return more
				}))
				p.arrive("line\nabc", "line\n", "abc")
				requireIs(t, p.SetFrame(iostream.Bytes(1)), iostream.ErrInvalid)
				p.arrive("more\n")
			})
		}
	}
}

// TestTakeOverRefused: what is refused leaves the repeating read as it was.
func TestTakeOverRefused(t *testing.T) {
	p := newPuppet(t, iostreamtest.Options{}, nil)
	require.NoError(t, p.Handle(iostream.Until("\n"), func(msg []byte, err error) bool {
		p.tell(msg, err)
		if err != nil {
			return false // the loop is closed
		}
		requireIs(t, p.ReadFunc(iostream.Bytes(-1), p.tell), iostream.ErrInvalid)
		//lint:ignore SA1012 the misuse is the point
		_, err = p.Read(nil, iostream.Bytes(1)) //nolint:staticcheck // what is refused
		requireIs(t, err, iostream.ErrInvalid)
		_, _, err = p.Detach()
		requireIs(t, err, iostream.ErrInvalid)
		return true
	}))
	p.arrive("a\nb\n", "a\n", "b\n")
}

func TestTakeOverByDetach(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("package net makes no connection of a file there: no Detach")
	}
	s, peer := pair(t, startLoop(t, ioloop.Config{}), "tcp", nil)
	conns, rests := make(chan net.Conn, 1), make(chan string, 1)
	require.NoError(t, s.Handle(iostream.Until("\n"), func([]byte, error) bool {
		conn, rest, err := s.Detach()
		if err != nil {
			t.Error(err)
		}
		conns <- conn
		rests <- string(rest)
		return true
	}))
	send(t, peer, "upgrade\nrest")
	conn := receive(t, conns)
	defer conn.Close()
	require.Equal(t, "rest", receive(t, rests))
	_, err := conn.Write([]byte("hello"))
	require.NoError(t, err)
	expect(t, peer, "hello")
}

// TestEmptyMessages: messages that take no input end a repeating read, unless
// its function changes the frame.
func TestEmptyMessages(t *testing.T) {
	stuck := ", " + io.ErrNoProgress.Error()
	p := newPuppet(t, iostreamtest.Options{}, nil)
	p.Hold() // the stream goes on after an error
	each := func(msg []byte, err error) bool {
		p.tell(msg, err)
		return true
	}
	requireIs(t, p.Handle(iostream.Bytes(0), each), iostream.ErrInvalid)
	require.NoError(t, p.Handle(iostream.UntilRegexp(regexp.MustCompile(`x*`)), each))
	p.arrive("y", "", stuck)
	require.NoError(t, p.Handle(iostream.Bytes(1), func(msg []byte, err error) bool {
		p.tell(msg, err)
		if len(msg) > 0 {
			require.NoError(t, p.SetFrame(iostream.Bytes(0)))
		}
		return true
	}))
	p.expect("y", "", stuck)
	for msg, err := range p.Messages(context.Background(), iostream.Bytes(0)) {
		p.tell(msg, err)
	}
	p.expect(", invalid argument: Bytes(0) and Peek would repeat for ever")
	require.NoError(t, p.Handle(iostream.UntilClose(), each))
	p.arrive("rest")
	p.wire.FIN()
	p.expect("rest", ", EOF")
}

// TestReadLimitBoundsTheBuffer: a message that does not end holds a buffer of the
// limit and 64 KiB, not of twice as much.
func TestReadLimitBoundsTheBuffer(t *testing.T) {
	for _, limit := range []int{100 << 10, 1 << 20, 5<<20 + 1} {
		p := newPuppet(t, iostreamtest.Options{}, &iostream.Config{ReadLimit: limit})
		require.NoError(t, p.ReadFunc(iostream.Until("\n"), p.tell))
		p.arrive(strings.Repeat("x", limit-1))
		require.Equal(t, limit-1, p.Buffered())
		require.LessOrEqual(t, iostream.InputCapacity(p.Stream), limit+64<<10+8<<10)
		p.arrive("xx", ", "+iostream.ErrTooLong.Error())
	}
}

// TestRegexpOfOtherBytes shows what UntilRegexp says of bytes that are no UTF-8.
func TestRegexpOfOtherBytes(t *testing.T) {
	for expr, want := range map[string]string{`\xff`: ", EOF", `\x{FFFD}b`: "a\xffb", `a.b`: "a\xffb"} {
		p := newPuppet(t, iostreamtest.Options{ReadSize: 1}, nil)
		require.NoError(t, p.ReadFunc(iostream.UntilRegexp(regexp.MustCompile(expr)), p.tell))
		p.wire.Arrive([]byte("a\xffb"))
		p.wire.FIN()
		p.expect(want)
	}
	requireIs(t, newPuppet(t, iostreamtest.Options{}, nil).ReadFunc(iostream.UntilRegexp(nil), func([]byte, error) {}), iostream.ErrInvalid)
}
