package iostream_test

import (
	"bytes"
	"io"
	"net"
	"os"
	"strconv"
	"testing"

	"github.com/eddyloop/eddy/internal/sandbox"
	"github.com/eddyloop/eddy/internal/selfexec"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// TestWithoutSplice has bulk and files arrive where a sandbox or an old kernel lets no process
// splice or send files.
func TestWithoutSplice(t *testing.T) {
	const variable = "EDDY_TEST_WITHOUT_SPLICE"
	answers := map[string]unix.Errno{"ENOSYS": unix.ENOSYS, "EPERM": unix.EPERM}
	if answer, ok := answers[os.Getenv(variable)]; ok {
		testWithoutSplice(t, answer)
		return
	}
	for name := range answers {
		out, err := selfexec.Command(variable+"="+name, "-test.run=^TestWithoutSplice$", "-test.v").CombinedOutput()
		require.NoError(t, err, "%s: %s", name, out)
	}
}

func testWithoutSplice(t *testing.T, answer unix.Errno) {
	if strconv.IntSize == 32 {
		t.Skip("the calls have other numbers")
	}
	for _, call := range []uint32{unix.SYS_SPLICE, unix.SYS_SENDFILE} {
		if err := sandbox.Forbid(call, answer); err != nil {
			t.Skip("no seccomp here: ", err)
		}
	}
	text := randomText(t, 8<<20)
	sendAll := func(to net.Conn) {
		_, _ = to.Write(text)
		_ = to.(*net.TCPConn).CloseWrite()
	}
	t.Run("copy", func(t *testing.T) {
		for range 2 { // of two that cannot, neither gets on the other's account
			c := startCopy(t, "tcp")
			go sendAll(c.client)
			got := make([]byte, len(text))
			_, err := io.ReadFull(c.back, got)
			require.NoError(t, err)
			require.True(t, bytes.Equal(text, got))
			o := receive(t, c.outcome)
			require.NoError(t, o.err)
			require.EqualValues(t, len(text), o.n)
		}
	})
	t.Run("a copy that goes on", func(t *testing.T) {
		c := bulkSource(t)
		c.arrives(t, "something")
		require.Zero(t, c.Receive())
		for range 10 {
			require.False(t, c.Splices(), "it tries once")
			c.Read(largePiece)
		}
		expect(t, c.s.NetConn(), "something")
		require.NoError(t, c.s.Err())
	})
	t.Run("relay", func(t *testing.T) {
		r := bulkRelay(t, startLoop(t, ioloop.Config{}))
		go func() { _, _ = r.client.Write(text) }()
		got := make([]byte, len(text))
		_, err := io.ReadFull(r.back, got)
		require.NoError(t, err)
		require.True(t, bytes.Equal(text, got))
		require.False(t, r.splices(t), "it tries once")
		closeWrite(t, r.client)
		closeWrite(t, r.back)
		require.NoError(t, receive(t, r.outcome).err)
	})
	t.Run("file", func(t *testing.T) {
		s, peer := pair(t, startLoop(t, ioloop.Config{}), "tcp", nil)
		quiet(t, s.Loop())
		got := make(chan []byte, 1)
		go func() { b, _ := io.ReadAll(peer); got <- b }()
		limit := &io.LimitedReader{R: newFile(t, text), N: int64(len(text)) - 1}
		n, err := s.NetConn().ReadFrom(limit)
		require.NoError(t, err)
		require.EqualValues(t, len(text)-1, n)
		require.Zero(t, limit.N)
		require.NoError(t, s.CloseWrite())
		require.True(t, bytes.Equal(text[:len(text)-1], receive(t, got)))
	})
}
