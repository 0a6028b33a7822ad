//go:build unix

package tcp_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/eddyloop/eddy/internal/leaktest"
	"github.com/eddyloop/eddy/internal/selfexec"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/tcp"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// inheritChild serves on what it has inherited until its input ends. It marks
// its answers, so that they can be told from the parent's.
func inheritChild() {
	srv := &tcp.Server{Logger: quiet(), Loops: 1, Handler: func(t *ioloop.Task, s *iostream.Stream) error {
		line, err := s.Read(t, iostream.Until("\n"))
		if err == nil {
			_, err = s.Write(append([]byte("child: "), line...))
		}
		return err
	}}
	files, err := tcp.Inherited()
	for _, f := range files {
		if flags, _ := unix.FcntlInt(f.Fd(), unix.F_GETFD, 0); flags&unix.FD_CLOEXEC == 0 {
			err = fmt.Errorf("%s is inherited further", f.Name())
		}
		if _, e := srv.Adopt(f); e != nil {
			err = e
		}
	}
	if again, _ := tcp.Inherited(); again != nil || strings.Contains(strings.Join(os.Environ(), " "), "LISTEN_") {
		err = fmt.Errorf("the variables are still there")
	}
	fmt.Println(srv.Addrs(), err)
	served := make(chan error)
	go func() { served <- srv.Serve(context.Background()) }()
	_, _ = io.Copy(io.Discard, os.Stdin)
	_, _ = srv.Shutdown(context.Background())
	<-served
}

// child is a process that runs inheritChild.
type child struct {
	t     *testing.T
	ready string // what it says when it serves
	stdin io.Closer
	cmd   *exec.Cmd
}

func startChild(t *testing.T, files []*os.File, env []string, command ...string) *child {
	t.Helper()
	cmd := selfexec.Command("EDDY_TCP_CHILD=inherit")
	if command != nil { // which executes what follows
		cmd.Args = append(command, cmd.Args...)
		var err error
		cmd.Path, err = exec.LookPath(command[0])
		require.NoError(t, err)
	}
	cmd.ExtraFiles = files
	cmd.Env = append(cmd.Env, env...)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	killer := time.AfterFunc(2*patience, func() { _ = cmd.Process.Kill() })
	t.Cleanup(func() {
		killer.Stop()
		_ = stdin.Close()
		_ = cmd.Wait()
	})
	ready, err := bufio.NewReader(stdout).ReadString('\n')
	require.NoError(t, err)
	return &child{t, strings.TrimSpace(ready), stdin, cmd}
}

// A server hands its sockets to a child, and clients that connect meanwhile
// are all served, by the one or the other.
func TestRestartWithoutGap(t *testing.T) {
	requireDescriptorList(t)
	leaktest.Check(t)
	srv := &tcp.Server{Handler: lines, Loops: 2, Logger: quiet()}
	path := socketPath(t)
	addr, err := srv.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	unixAddr, err := srv.Listen("unix", path)
	require.NoError(t, err)
	done := serve(t, srv)
	busy := dial(t, addr)
	inMiddle(t, busy)

	stop, dialled := make(chan struct{}), make(chan error)
	go func() {
		for {
			select {
			case <-stop:
				dialled <- nil
				return
			default:
			}
			if err := askOnce(addr); err != nil {
				dialled <- err
				return
			}
		}
	}()

	files, env, err := srv.Files()
	require.NoError(t, err)
	require.Len(t, files, 2)
	requireNonblocking := func() {
		t.Helper()
		listening := 0
		for _, fd := range socketsOf(t, addr) {
			if on, _ := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN); on != 0 {
				flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
				require.NoError(t, err)
				require.NotZero(t, flags&unix.O_NONBLOCK)
				listening++
			}
		}
		require.Positive(t, listening)
	}
	_ = files[0].Fd() // as exec.Cmd calls it
	requireNonblocking()
	c := startChild(t, files, env)
	for _, f := range files {
		require.NoError(t, f.Close())
	}
	require.Equal(t, fmt.Sprintf("[%v %v] <nil>", addr, unixAddr), c.ready)
	requireNonblocking()
	srv.StopListening()
	eventually(t, func() bool { return len(srv.Addrs()) == 0 && srv.Stats().Conns == 1 })
	require.FileExists(t, path)
	busy.send("message\n")
	busy.expect("half a message\n")
	_, err = srv.Shutdown(context.Background())
	require.NoError(t, err)
	require.ErrorIs(t, receive(t, done), tcp.ErrServerClosed)
	busy.expectEOF()
	for _, a := range []net.Addr{addr, unixAddr} {
		n := dial(t, a)
		n.send("hello\n")
		n.expect("child: hello\n")
		n.Close()
	}
	close(stop)
	require.NoError(t, receive(t, dialled))
	require.NoError(t, c.stdin.Close())
	require.NoError(t, c.cmd.Wait())
	_, _, err = srv.Files()
	require.ErrorIs(t, err, tcp.ErrServerClosed)
}

// askOnce connects and expects an answer from whoever accepts.
func askOnce(addr net.Addr) error {
	conn, err := net.Dial(addr.Network(), addr.String())
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(conn, "hello\n"); err != nil {
		return err
	}
	_, err = bufio.NewReader(conn).ReadString('\n')
	return err
}

// Sockets are taken as systemd hands them on, and only if they are meant for
// this very process.
func TestInherited(t *testing.T) {
	leaktest.Check(t)
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip("no shell")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	listening, err := l.(*net.TCPListener).File()
	require.NoError(t, err)
	require.NoError(t, l.Close())
	defer listening.Close()
	conn := dial(t, l.Addr())
	connected, err := conn.Conn.(*net.TCPConn).File()
	require.NoError(t, err)
	defer connected.Close()
	plain, err := os.Open(os.DevNull)
	require.NoError(t, err)
	defer plain.Close()
	for name, test := range map[string]struct {
		pid   string // shell
		count string
		file  *os.File
		says  string
	}{
		"for us":           {"$$", "1", listening, "[" + l.Addr().String() + "] <nil>"},
		"for another":      {"1", "1", listening, "[] <nil>"},
		"for nobody":       {"", "1", listening, "[] <nil>"},
		"nonsense":         {"$$", "some", listening, `[] tcp: invalid argument: LISTEN_FDS="some"`},
		"too many":         {"$$", "100000000", listening, `[] tcp: invalid argument: LISTEN_FDS="100000000"`},
		"none":             {"$$", "0", listening, "[] <nil>"},
		"does not listen":  {"$$", "1", connected, "[] tcp: inherited descriptor 3: tcp: invalid argument: the socket does not listen"},
		"not a socket":     {"$$", "1", plain, "[] tcp: inherited descriptor 3: getsockopt: socket operation on non-socket"},
		"one that is none": {"$$", "1", nil, "[] tcp: inherited descriptor 3: getsockopt: bad file descriptor"},
	} {
		t.Run(name, func(t *testing.T) {
			var files []*os.File
			if test.file != nil {
				files = append(files, test.file)
			}
			script := fmt.Sprintf(`LISTEN_PID="%s" LISTEN_FDS=%s LISTEN_FDNAMES=web exec "$@"`, test.pid, test.count)
			c := startChild(t, files, nil, "sh", "-c", script, "sh")
			if test.file == nil {
				require.Regexp(t, `^\[\] tcp: inherited descriptor 3: .*`, c.ready) // the runtime may have opened something there
				return
			}
			require.Equal(t, test.says, c.ready)
			if strings.HasPrefix(c.ready, "[1") {
				n := dial(t, l.Addr())
				n.send("hello\n")
				n.expect("child: hello\n")
				n.Close()
			}
		})
	}
}

func TestAdopt(t *testing.T) {
	file := func(t *testing.T, l net.Listener) *os.File {
		f, err := l.(interface{ File() (*os.File, error) }).File()
		require.NoError(t, err)
		if u, ok := l.(*net.UnixListener); ok {
			u.SetUnlinkOnClose(false)
		}
		require.NoError(t, l.Close())
		return f
	}
	for _, network := range []string{"tcp", "unix"} {
		for _, kind := range []string{"listener", "file"} {
			t.Run(network+" "+kind, func(t *testing.T) {
				leaktest.Check(t)
				address := "127.0.0.1:0"
				if network == "unix" {
					address = socketPath(t)
				}
				l, err := net.Listen(network, address)
				require.NoError(t, err)
				srv := &tcp.Server{Handler: lines, Logger: quiet()}
				from := l.(interface {
					syscall.Conn
					io.Closer
				})
				if kind == "file" {
					from = file(t, l)
				}
				addr, err := srv.Adopt(from)
				require.NoError(t, err)
				require.Equal(t, l.Addr().String(), addr.String())
				require.Equal(t, []net.Addr{addr}, srv.Addrs())
				serve(t, srv)
				dial(t, addr).echo("hello\n")
				_, err = l.Accept()
				require.ErrorIs(t, err, net.ErrClosed)
				_, err = srv.Shutdown(context.Background())
				require.NoError(t, err)
				if network == "unix" {
					require.FileExists(t, address)
				}
			})
		}
	}
}

// O_NONBLOCK belongs to the open file, and so to whoever shares an adopted
// listener: os.File.Fd, which exec.Cmd calls, clears it.
func TestAdoptedListenerIsMadeBlocking(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	shared, err := listener.(*net.TCPListener).File()
	require.NoError(t, err)
	defer shared.Close()
	srv := &tcp.Server{Handler: lines, Logger: quiet(), Loops: 1}
	addr, err := srv.Adopt(listener.(*net.TCPListener))
	require.NoError(t, err)
	serve(t, srv)
	for range 3 {
		shared.Fd()
		c := dial(t, addr)
		c.echo("hello\n")
		runtime.GC() // waits for every goroutine
		c.Close()
	}
}

func TestAdoptInvalid(t *testing.T) {
	leaktest.Check(t)
	srv := &tcp.Server{Handler: lines}
	f, err := os.Open(os.DevNull)
	require.NoError(t, err)
	_, err = srv.Adopt(f)
	requireOpError(t, err, "listen")
	require.NoError(t, f.Close(), "it was left open")
	_, err = srv.Adopt(f)
	requireOpError(t, err, "listen")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	conn := dial(t, l.Addr())
	_, err = srv.Adopt(conn.Conn.(*net.TCPConn))
	require.ErrorIs(t, err, fs.ErrInvalid)
	require.NoError(t, srv.Close())
	_, err = srv.Adopt(l.(*net.TCPListener))
	require.ErrorIs(t, err, tcp.ErrServerClosed)
	dial(t, l.Addr()) // it was left open
}
