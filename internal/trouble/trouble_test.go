//go:build unix

package trouble

import (
	"bufio"
	"encoding/json"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/eddyloop/eddy/internal/leaktest"
	"github.com/eddyloop/eddy/internal/selfexec"
	"github.com/eddyloop/eddy/internal/testtime"
	"github.com/stretchr/testify/require"
)

// patience is how long what has to happen may take.
var patience = testtime.Patience(60 * time.Second)

// The server and the bad clients are processes of this test's binary.
func TestMain(m *testing.M) {
	switch os.Getenv("EDDY_TROUBLE") {
	case "server":
		serve()
	case "bad clients":
		misbehave()
	default:
		leaktest.Main(m)
	}
}

// size is how much of everything there is.
type size struct {
	honest  int   // clients that verify every byte, each on a connection of its own
	bad     int   // connections that misbehave, in all
	at      int   // of these at once
	files   int   // that the server may open for connections: fewer than there are
	budget  int64 // bytes that its streams may hold
	longest time.Duration
}

var (
	small = size{honest: 20, bad: 1500, at: 200, files: 120, budget: 4 << 20, longest: 300 * time.Millisecond}
	full  = size{honest: 100, bad: 10_000, at: 1000, files: 600, budget: 16 << 20, longest: 2 * time.Second}
)

// TestTrouble has many clients do their worst, in want of descriptors and of
// memory, while honest ones verify every byte. Nothing may be lost, and in the
// end the server must be as it was in the beginning.
func TestTrouble(t *testing.T) {
	leaktest.Check(t)
	size, duration := small, time.Duration(0)
	if text := os.Getenv("EDDY_SOAK"); text != "" {
		var err error
		duration, err = time.ParseDuration(text)
		require.NoError(t, err)
		size = full
	}
	server := startServer(t, size)
	before := server.stats()
	for begin, round := time.Now(), 1; round == 1 || time.Since(begin) < duration; round++ {
		seed := rand.Uint64()
		t.Logf("round %d, seed %d", round, seed)
		stop := make(chan struct{})
		honest := startHonest(server.addrs, size.honest, stop)
		lie := runBadClients(t, server.addrs, size, seed)
		server.squeeze(size)
		close(stop)
		report := honest.wait()
		require.Empty(t, report.failures)
		require.Positive(t, report.messages)
		after := server.settle(before)
		t.Logf("honest: %v", report)
		t.Logf("bad: %v", lie)
		t.Logf("server: %d accepted, accepting put off %d times, %d handshakes failed, %d closed for memory, heap %d KiB (was %d), files %d (were %d)",
			after.Accepted, after.Pauses, after.Handshakes, after.ForMemory, after.Heap>>10, before.Heap>>10, after.Files, before.Files)
		require.Positive(t, after.Pauses, "descriptors never ran out")
		require.Positive(t, after.ForMemory, "memory never ran out")
		require.Positive(t, after.Handshakes, "nobody has spoilt a handshake")
	}
	server.stop()
}

// process is a child that answers questions.
type process struct {
	t     *testing.T
	cmd   *exec.Cmd
	in    *bufio.Writer
	out   *bufio.Scanner
	addrs []string
	close func() error
}

func start(t *testing.T, role string, arguments ...string) *process {
	t.Helper()
	cmd := selfexec.Command("EDDY_TROUBLE="+role, arguments...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return &process{t: t, cmd: cmd, in: bufio.NewWriter(in), out: bufio.NewScanner(out), close: in.Close}
}

func (p *process) line() string {
	p.t.Helper()
	require.True(p.t, p.out.Scan(), "the process has died: %v", p.out.Err())
	return p.out.Text()
}

func startServer(t *testing.T, s size) *process {
	t.Helper()
	p := start(t, "server", strconv.Itoa(s.files), strconv.FormatInt(s.budget, 10))
	p.addrs = strings.Fields(p.line())
	return p
}

// stats asks the server how it is.
func (p *process) stats() stats {
	p.t.Helper()
	_, err := p.in.WriteString("stats\n")
	require.NoError(p.t, err)
	require.NoError(p.t, p.in.Flush())
	var s stats
	require.NoError(p.t, json.Unmarshal([]byte(p.line()), &s))
	return s
}

// heapSlack is what the heap may keep of a time with many connections: tables
// that have grown, pools, and what the runtime has for its own.
const heapSlack = 6 << 20

// settle waits for the server to be as it was before.
func (p *process) settle(before stats) stats {
	p.t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		now := p.stats()
		problem := now.differs(before)
		if problem == "" {
			return now
		}
		require.True(p.t, time.Now().Before(deadline), problem)
	}
}

func (p *process) stop() {
	require.NoError(p.t, p.close())
	require.NoError(p.t, p.cmd.Wait())
}

// squeeze makes sure that the server has been in want of everything, and has met a client
// that spoils its handshake: where all is slow, the bad clients do not bring that about.
func (p *process) squeeze(s size) {
	p.t.Helper()
	until := func(addr string, n int, text string, enough func(stats) bool) {
		p.t.Helper()
		conns := make([]net.Conn, n)
		for i := range conns {
			var err error
			conns[i], err = net.DialTimeout("tcp", addr, patience)
			require.NoError(p.t, err)
			go func() { _, _ = io.WriteString(conns[i], text) }()
		}
		for deadline := time.Now().Add(patience); !enough(p.stats()); time.Sleep(10 * time.Millisecond) {
			require.True(p.t, time.Now().Before(deadline))
		}
		for _, c := range conns {
			_ = c.Close()
		}
	}
	until(p.addrs[overTLS], 1, "no hello\n", func(s stats) bool { return s.Handshakes > 0 })
	until(p.addrs[0], int(s.budget/hoard)+2, strings.Repeat("z", hoard), func(s stats) bool { return s.ForMemory > 0 })
	until(p.addrs[0], s.files+1, "", func(s stats) bool { return s.Pauses > 0 })
}

func runBadClients(t *testing.T, addrs []string, s size, seed uint64) string {
	t.Helper()
	arguments := []string{strconv.Itoa(s.bad), strconv.Itoa(s.at), s.longest.String(), strconv.FormatUint(seed, 10)}
	p := start(t, "bad clients", append(arguments, addrs...)...)
	report := p.line()
	p.stop()
	return report
}
