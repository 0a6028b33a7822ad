//go:build unix || windows

package iostream_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/iostreamtest"
	"github.com/stretchr/testify/require"
)

// A line that is buffered already is read without a read operation: what holds for
// all reads must hold for that too.

func TestBufferedLineWithinLimit(t *testing.T) {
	p := newPuppet(t, iostreamtest.Options{}, &iostream.Config{ReadLimit: 8})
	line := iostream.Until("\n")
	require.NoError(t, p.world.Loop.Go(func(task *ioloop.Task) {
		for range 4 {
			p.tell(p.Read(task, line))
		}
	}))
	p.arrive("a\n1234567\n12345678\n", "a\n", "1234567\n", ", "+iostream.ErrTooLong.Error(), ", "+iostream.ErrTooLong.Error())
	require.Equal(t, 9, p.Buffered())
}

// TestBufferedLineOfHandler reads a line in the function of a Handle, which the read
// takes over. The line stays as it is until the next read.
func TestBufferedLineOfHandler(t *testing.T) {
	p := newPuppet(t, iostreamtest.Options{}, nil)
	var second []byte
	require.NoError(t, p.Handle(iostream.Until("\n"), func(msg []byte, err error) bool {
		p.tell(msg, err)
		second, err = p.Read(context.Background(), iostream.Until("\n"))
		require.NoError(t, err)
		return true
	}))
	p.arrive("first\nsecond\n", "first\n")
	require.False(t, p.Reading())
	p.othersReceive()
	require.Equal(t, "second\n", string(second))
}

// TestBufferedLineOfTask has a line stay as it is while its task does something else.
func TestBufferedLineOfTask(t *testing.T) {
	p := newPuppet(t, iostreamtest.Options{}, nil)
	var second []byte
	require.NoError(t, p.world.Loop.Go(func(task *ioloop.Task) {
		p.tell(p.Read(task, iostream.Until("\n")))
		second, _ = p.Read(task, iostream.Until("\n"))
		_ = task.Sleep(time.Hour)
	}))
	p.arrive("first\nsecond\n", "first\n")
	p.othersReceive()
	require.Equal(t, "second\n", string(second))
}

// othersReceive has others use the loop's buffer, and what the pool has.
func (p *puppet) othersReceive() {
	for range 4 {
		wire := iostreamtest.NewWire(iostreamtest.Options{})
		other, err := iostream.New(p.world.Loop, wire.Transport(), nil)
		require.NoError(p.t, err)
		require.NoError(p.t, other.ReadFunc(iostream.Bytes(13), func([]byte, error) {}))
		for _, n := range []int{12, 1} { // the first part has to be kept
			wire.Arrive([]byte(strings.Repeat("x", n)))
			require.NoError(p.t, p.world.Settle())
		}
	}
}
