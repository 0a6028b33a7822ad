package iostream_test

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
)

// Windows cannot watch pipes: NewPipe says so, and there is nothing to test.
const stdioChild = "EDDY_TEST_STDIO"

func runStdioChild() {}

type pipeMaker func(t testing.TB) (r, w *os.File)

var pipes map[string]pipeMaker

func eachInput(t *testing.T, run func(t *testing.T, network string)) { eachNetwork(t, run) }

func makePipe(t testing.TB) (r, w *os.File) {
	t.Skip("there are no streams over pipes")
	return nil, nil
}

type filePeer struct{ *os.File }

func (p filePeer) LocalAddr() net.Addr  { return nil }
func (p filePeer) RemoteAddr() net.Addr { return nil }
func (p filePeer) CloseWrite() error    { return p.Close() }

func pipePair(t testing.TB, _ *ioloop.Loop, open pipeMaker, _ *iostream.Config) (*iostream.Stream, net.Conn) {
	open(t)
	return nil, nil
}

func writer(t testing.TB, _ *ioloop.Loop, open pipeMaker, _ *iostream.Config) (*iostream.Stream, *os.File) {
	open(t)
	return nil, nil
}

// Wine, and Windows before 10 1803, have no Unix sockets.
func init() {
	dir, err := os.MkdirTemp("", "eddy")
	if err != nil {
		return
	}
	defer os.Remove(dir)
	l, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err == nil {
		_ = l.Close()
		return
	}
	networks = slices.DeleteFunc(networks, func(name string) bool { return name == "unix" })
}
