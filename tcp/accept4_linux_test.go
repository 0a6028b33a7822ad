package tcp_test

import (
	"net"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/eddyloop/eddy/internal/sandbox"
	"github.com/eddyloop/eddy/internal/selfexec"
	"github.com/eddyloop/eddy/tcp"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// Old kernels answer accept4 with ENOSYS, strict sandboxes with EPERM. Accepting pauses
// and the log says why; a client that waits does not keep the loop busy.
func TestWithoutAccept4(t *testing.T) {
	if runtime.GOARCH == "386" || runtime.GOARCH == "s390x" {
		t.Skip("accepting goes through socketcall, which no filter by number tells apart")
	}
	const variable = "EDDY_TEST_WITHOUT_ACCEPT4"
	answers := map[string]unix.Errno{"ENOSYS": unix.ENOSYS, "EPERM": unix.EPERM}
	if answer, ok := answers[os.Getenv(variable)]; ok {
		testWithoutAccept4(t, answer)
		return
	}
	for name := range answers {
		out, err := selfexec.Command(variable+"="+name, "-test.run=^TestWithoutAccept4$", "-test.v").CombinedOutput()
		require.NoError(t, err, "%s: %s", name, out)
	}
}

func testWithoutAccept4(t *testing.T, answer unix.Errno) {
	if err := sandbox.Forbid(unix.SYS_ACCEPT4, answer); err != nil {
		t.Skip("no seccomp here: ", err)
	}
	var log logBuffer
	paused := make(chan error, 1000)
	srv := &tcp.Server{Handler: lines, Loops: 1, Logger: log.logger(), Hooks: tcp.Hooks{
		Paused: func(_ net.Addr, err error) { paused <- err },
	}}
	addr, done := local(t, srv)
	dial(t, addr)
	require.ErrorIs(t, receive(t, paused), answer)
	require.ErrorIs(t, receive(t, paused), answer, "it is tried again")
	eventually(t, func() bool { return strings.Contains(log.String(), "accepting is put off") })
	require.NoError(t, srv.Close())
	receive(t, done)
}
