package main

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/eddyloop/eddy/internal/leaktest"
	"github.com/eddyloop/eddy/internal/selfexec"
	"github.com/eddyloop/eddy/internal/testtime"
	"github.com/stretchr/testify/require"
)

// patience is how long a test waits for what has to happen.
var patience = testtime.Patience(30 * time.Second)

// The daemon is this test's binary, told so by its environment.
func TestMain(m *testing.M) {
	if os.Getenv("ECHOD_TEST_DAEMON") != "" {
		main()
	}
	leaktest.Main(m)
}

// daemon is a running echod.
type daemon struct {
	t      *testing.T
	cmd    *exec.Cmd
	addrs  []string // bound
	stderr output
}

// output is what a process has written.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

func command(args ...string) *exec.Cmd {
	return selfexec.Command("ECHOD_TEST_DAEMON=1", args...)
}

// start runs echod until the test is over, on a free port unless args say
// where.
func start(t *testing.T, args ...string) *daemon {
	t.Helper()
	leaktest.Check(t)
	if !strings.Contains(strings.Join(args, " "), "-listen") {
		args = append(args, "-listen", "127.0.0.1:0")
	}
	d := &daemon{t: t, cmd: command(args...)}
	d.cmd.Stderr = &d.stderr
	out, err := d.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, d.cmd.Start())
	t.Cleanup(func() {
		_ = d.cmd.Process.Kill()
		_ = d.cmd.Wait()
	})
	ready, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err, d.stderr.String())
	rest, ok := strings.CutPrefix(strings.TrimSpace(ready), "echod listening on ")
	require.True(t, ok, ready)
	d.addrs = strings.Fields(rest)
	return d
}

// stop ends the daemon and requires that it ends well.
func (d *daemon) stop(signal os.Signal) {
	d.t.Helper()
	require.NoError(d.t, d.cmd.Process.Signal(signal))
	d.wait()
}

// admin returns the URL of the admin page, which has a port of its own choice.
func (d *daemon) admin() (url string) {
	d.t.Helper()
	eventually(d.t, func() bool {
		found := adminURL.FindStringSubmatch(d.stderr.String())
		if found != nil {
			url = found[1]
		}
		return found != nil
	})
	return url
}

var adminURL = regexp.MustCompile(`admin page.*url=(http://[0-9.:]+)/\s`)

func (d *daemon) wait() {
	d.t.Helper()
	killer := time.AfterFunc(patience, func() { _ = d.cmd.Process.Kill() })
	defer killer.Stop()
	require.NoError(d.t, d.cmd.Wait(), d.stderr.String())
}

// client is the other side of a conversation.
type client struct {
	net.Conn
	t *testing.T
}

func (d *daemon) dial() *client {
	d.t.Helper()
	return d.dialAt(0)
}

func (d *daemon) dialAt(i int) *client {
	d.t.Helper()
	conn, err := connect(d.addrs[i])
	require.NoError(d.t, err)
	require.NoError(d.t, conn.SetDeadline(time.Now().Add(patience)))
	d.t.Cleanup(func() { conn.Close() })
	return &client{conn, d.t}
}

func connect(address string) (net.Conn, error) {
	network, address := splitAddress(address)
	return net.DialTimeout(network, address, patience)
}

func (c *client) send(text string) {
	c.t.Helper()
	_, err := io.WriteString(c, text)
	require.NoError(c.t, err)
}

func (c *client) expect(text string) {
	c.t.Helper()
	got := make([]byte, len(text))
	_, err := io.ReadFull(c, got)
	require.NoError(c.t, err, "%q", got)
	require.Equal(c.t, text, string(got))
}

func (c *client) echo(text string) {
	c.t.Helper()
	c.send(text)
	c.expect(text)
}

// expectEOF reads the end of the stream, in good order.
func (c *client) expectEOF() {
	c.t.Helper()
	n, err := c.Read(make([]byte, 1))
	require.Zero(c.t, n)
	require.Equal(c.t, io.EOF, err)
}

// expectEnd reads the end of the stream, also by a reset.
func (c *client) expectEnd() {
	c.t.Helper()
	_, err := io.Copy(io.Discard, c)
	require.NotErrorIs(c.t, err, os.ErrDeadlineExceeded)
}

func (c *client) closeWrite() {
	c.t.Helper()
	require.NoError(c.t, c.Conn.(interface{ CloseWrite() error }).CloseWrite())
}

func eventually(t *testing.T, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !condition(); {
		require.True(t, time.Now().Before(deadline), "it did not come to that")
		time.Sleep(time.Millisecond)
	}
}

// fails runs echod with a command line that it has to refuse, and returns the
// one line that it says.
func fails(t *testing.T, args ...string) string {
	t.Helper()
	leaktest.Check(t)
	cmd := command(args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	require.NoError(t, cmd.Start())
	killer := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
	defer killer.Stop()
	var exit *exec.ExitError
	require.True(t, errors.As(cmd.Wait(), &exit), "it succeeded")
	require.Positive(t, exit.ExitCode())
	require.Empty(t, stdout.String())
	require.Equal(t, 1, strings.Count(stderr.String(), "\n"), stderr.String())
	require.True(t, strings.HasPrefix(stderr.String(), "echod: "), stderr.String())
	return stderr.String()
}

// peakMemory returns the most memory that the daemon has used, in bytes.
func (d *daemon) peakMemory() int64 {
	d.t.Helper()
	peak, err := peakMemoryOf(d.cmd.Process.Pid)
	if errors.Is(err, os.ErrNotExist) {
		d.t.Skip("the memory of a process cannot be learnt here: ", err)
	}
	require.NoError(d.t, err)
	require.Positive(d.t, peak)
	return peak
}

var stopSignals = []os.Signal{os.Interrupt, syscall.SIGTERM}
