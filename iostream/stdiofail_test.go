//go:build unix

package iostream_test

import (
	"io"
	"os"
	"strings"
	"testing"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/stretchr/testify/require"
)

// stdioOf is a stream of two files on a loop that runs.
func stdioOf(t *testing.T, in, out *os.File) *iostream.Stream {
	t.Helper()
	s, err := iostream.NewStdioOf(startLoop(t, ioloop.Config{}), int(in.Fd()), int(out.Fd()), false, nil)
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// TestPanicEndsStdio as it ends any stream, whichever of the two descriptors the callback is due to.
func TestPanicEndsStdio(t *testing.T) {
	panics := map[string]func(t *testing.T) *iostream.Stream{
		"of a file's reader": func(t *testing.T) *iostream.Stream {
			s := stdioOf(t, tempFile(t, "x"), tempFile(t, ""))
			require.NoError(t, s.ReadFunc(iostream.Bytes(1), func([]byte, error) { panic(errPlayed) }))
			return s
		},
		"of who waits for a pipe": func(t *testing.T) *iostream.Stream {
			in, out, peerIn, _ := duplexes["pipes"](t)
			s := stdioOf(t, in, out)
			_, err := s.Write(make([]byte, 1<<20)) // more than the pipe takes
			require.NoError(t, err)
			require.NoError(t, s.WaitSentFunc(s.Mark(), func(error) { panic(errPlayed) }))
			go func() { _, _ = io.CopyN(io.Discard, peerIn, 1<<20) }()
			return s
		},
	}
	for name, panics := range panics {
		t.Run(name, func(t *testing.T) {
			s := panics(t)
			require.NoError(t, s.WaitClosed(patient(t)))
			var e *ioloop.PanicError
			require.ErrorAs(t, s.Err(), &e)
		})
	}
}

// TestClosedStdioAsksNoMore keeps no loop busy with a file of which nobody wants the rest.
func TestClosedStdioAsksNoMore(t *testing.T) {
	s := stdioOf(t, tempFile(t, strings.Repeat("x", 1<<20)), tempFile(t, ""))
	require.NoError(t, s.Handle(iostream.Bytes(1), func([]byte, error) bool {
		s.Abort(nil)
		return false
	}))
	require.NoError(t, s.WaitClosed(patient(t)))
	eventually(t, func() bool { return iostream.FileHasRead(s) })
	quiet(t, s.Loop())
	onLoop(t, s.Loop(), func() { require.False(t, iostream.FileIsQueued(s)) })
}
