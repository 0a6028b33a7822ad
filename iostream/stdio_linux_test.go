package iostream_test

import (
	"fmt"
	"io"
	"os"
	"testing"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/stretchr/testify/require"
)

func init() {
	duplexes["terminal"] = func(t testing.TB) (in, out, peerIn, peerOut *os.File) {
		master, slave := makePTY(t)
		return slave, duplicate(t, slave), master, master
	}
	duplexes["terminal and pipe"] = func(t testing.TB) (in, out, peerIn, peerOut *os.File) {
		peerOut, in = makePTY(t)
		peerIn, out = makePipe(t)
		return in, out, peerIn, peerOut
	}
	duplexes["terminal's master"] = func(t testing.TB) (in, out, peerIn, peerOut *os.File) {
		master, slave := makePTY(t)
		return master, duplicate(t, master), slave, slave
	}
}

// TestStdioOpensOnceMore: what can be opened once more is, and the rest is used
// as it is; a terminal's master would be another terminal's.
func TestStdioOpensOnceMore(t *testing.T) {
	for name, more := range map[string]int{"pipes": 2, "fifos": 2, "terminal": 2, "terminal and pipe": 2, "terminal's master": 0, "sockets": 0} {
		open := duplexes[name]
		if open == nil {
			continue // FIFOs may be refused
		}
		t.Run(name, func(t *testing.T) {
			in, out, _, _ := open(t)
			l, err := ioloop.New(ioloop.Config{}) // does not run yet: an emulated kqueue has files for what is attached
			require.NoError(t, err)
			defer l.Close()
			before := openFiles(t)
			s, err := iostream.NewStdioOf(l, int(in.Fd()), int(out.Fd()), false, nil)
			require.NoError(t, err)
			require.Equal(t, before+more, openFiles(t))
			s.Abort(nil)
			require.NoError(t, l.RunTask(patient(t), func(task *ioloop.Task) error { return s.WaitClosed(task) }))
			require.Equal(t, before, openFiles(t))
		})
	}
}

// A read that takes all there is fills its buffer, so another one follows, which does not hold
// the loop either, though the descriptor blocks.
func TestStdioLooksForMore(t *testing.T) {
	for _, name := range []string{"pipes", "sockets"} {
		for _, shared := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s shared=%v", name, shared), func(t *testing.T) {
				in, out, _, peerOut := duplexes[name](t)
				s, err := iostream.NewStdioOf(startLoop(t, ioloop.Config{}), int(in.Fd()), int(out.Fd()), shared, nil)
				require.NoError(t, err)
				_, err = io.WriteString(peerOut, "line\nx") // x stays, so that the next read is not the usual one
				require.NoError(t, err)
				require.Equal(t, "line\n", receive(t, faces[2].read(t, s, until("\n", 0))).data)
				data := string(pattern(64 << 10))
				_, err = io.WriteString(peerOut, data)
				require.NoError(t, err)
				pending := faces[2].read(t, s, exactly(len(data)+2))
				quiet(t, s.Loop())
				_, err = io.WriteString(peerOut, "y")
				require.NoError(t, err)
				require.Equal(t, "x"+data+"y", receive(t, pending).data)
				s.Abort(nil)
			})
		}
	}
}

func openFiles(t *testing.T) int {
	entries, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	return len(entries)
}

// What stands in the place of files and /dev/null on the loop goes with the stream.
func TestStdioOfFilesLeavesNoDescriptors(t *testing.T) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	require.NoError(t, err)
	defer null.Close()
	for name, test := range map[string]struct {
		in, out *os.File
		more    int
	}{
		"files": {tempFile(t, "x"), tempFile(t, ""), 2},
		"null":  {null, null, 1},
	} {
		l := newLoop(t, ioloop.Config{})
		before := openFiles(t)
		s, err := iostream.NewStdioOf(l, int(test.in.Fd()), int(test.out.Fd()), false, nil)
		require.NoError(t, err)
		require.Equal(t, before+test.more, openFiles(t), name)
		s.Abort(nil)
		require.NoError(t, l.RunTask(patient(t), func(task *ioloop.Task) error { return s.WaitClosed(task) }))
		require.Equal(t, before, openFiles(t), name)
		require.NoError(t, l.Close())
	}
}

// TestStdioWhoseWriterHasGone is used as it is, as it would have another end opened once more.
func TestStdioWhoseWriterHasGone(t *testing.T) {
	in, w := makePipe(t)
	require.NoError(t, w.Close())
	_, out := makePipe(t)
	l := newLoop(t, ioloop.Config{})
	defer l.Close()
	before := openFiles(t)
	s, err := iostream.NewStdioOf(l, int(in.Fd()), int(out.Fd()), false, nil)
	require.NoError(t, err)
	require.Equal(t, before+1, openFiles(t), "that of the output")
	s.Abort(nil)
	require.NoError(t, l.RunTask(patient(t), func(task *ioloop.Task) error { return s.WaitClosed(task) }))
}
