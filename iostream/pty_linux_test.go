package iostream_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func init() { pipes["pty"] = makePTY }

// makePTY returns both sides of a pseudo-terminal in raw mode.
func makePTY(t testing.TB) (master, slave *os.File) {
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	require.NoError(t, err)
	master = os.NewFile(uintptr(fd), "master")
	require.NoError(t, unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0))
	number, err := unix.IoctlGetUint32(fd, unix.TIOCGPTN)
	require.NoError(t, err)
	side, err := unix.Open(fmt.Sprintf("/dev/pts/%d", number), unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	require.NoError(t, err)
	slave = os.NewFile(uintptr(side), "slave")
	closeLater(t, master, slave)
	termios, err := unix.IoctlGetTermios(side, unix.TCGETS)
	require.NoError(t, err)
	termios.Iflag, termios.Oflag = 0, 0
	termios.Lflag = 0
	require.NoError(t, unix.IoctlSetTermios(side, unix.TCSETS, termios))
	return master, slave
}

// TestTerminalEndOfInput: Ctrl-D ends the stream of a terminal that is read by
// lines.
func TestTerminalEndOfInput(t *testing.T) {
	master, slave := makePTY(t)
	termios, err := unix.IoctlGetTermios(int(slave.Fd()), unix.TCGETS)
	require.NoError(t, err)
	termios.Lflag = unix.ICANON
	require.NoError(t, unix.IoctlSetTermios(int(slave.Fd()), unix.TCSETS, termios))
	s := newPipe(t, startLoop(t, ioloop.Config{}), slave, nil)
	send(t, filePeer{master}, "line\n", "\x04")
	got, err := s.Read(patient(t), iostream.UntilClose())
	require.NoError(t, err)
	require.Equal(t, "line\n", string(got))
	require.NoError(t, s.Close())
	require.NoError(t, s.WaitClosed(patient(t)))
}
