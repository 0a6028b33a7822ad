//go:build unix

package tcp_test

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/eddyloop/eddy/internal/hostile"
	"github.com/eddyloop/eddy/internal/selfexec"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/tcp"
	"github.com/stretchr/testify/require"
)

// bound is a row of docs/bounds.md: what one connection of a kind costs at most at default
// settings.
type bound struct {
	kind   string
	memory int64         // heap and stacks in KiB
	ends   time.Duration // after so long; 0: at once, below 0: never
	early  bool          // it may be gone earlier: who is silent when the reply is out is not waited for
	stuck  bool          // it ends because what is sent to it is not taken
	server func(*tcp.Server)
	conns  int // in this test, 500 if 0
}

const never = -1

var bounds = []bound{
	{kind: "never sends", memory: 12, ends: never},
	{kind: "drips a line", memory: 12, ends: tcp.DefaultMessageTimeout},
	{kind: "line without end", memory: 1024 + 128, ends: tcp.DefaultMessageTimeout, conns: 30},
	{kind: "line too long", memory: 1024 + 128, ends: iostream.DefaultCloseTimeout, early: true, conns: 30},
	{kind: "never reads", memory: 2*256 + 64, ends: tcp.DefaultSendTimeout, conns: 30, stuck: true, server: func(srv *tcp.Server) {
		srv.Handler, srv.Callback = nil, lineCallback
	}},
	{kind: "half-closes", memory: 12},
	{kind: "resets", memory: 12},
	{kind: "half a TLS handshake", memory: 32, ends: iostream.DefaultHandshakeTimeout, server: withTLS},
	{kind: "half a PROXY header", memory: 12, ends: tcp.DefaultProxyTimeout, server: func(srv *tcp.Server) {
		srv.ProxyProtocol = &tcp.ProxyProtocol{Trusted: func(net.Addr) bool { return true }}
	}},
	{kind: "announces 4 GiB", memory: 12, ends: iostream.DefaultCloseTimeout, early: true, server: func(srv *tcp.Server) {
		srv.Handler = func(t *ioloop.Task, s *iostream.Stream) error {
			_, err := s.Read(t, iostream.LengthPrefix(4, nil))
			return err
		}
	}},
	{kind: "pipelines without end", memory: 320, ends: never, conns: 100},
	{kind: "connects and leaves", memory: 12},
}

func withTLS(srv *tcp.Server) { srv.TLS = testTLS().server }

// row is the bound as the document has it.
func (b bound) row() string {
	size, ends := fmt.Sprintf("%d KiB", b.memory), "at once"
	switch {
	case b.ends == never && b.kind == "pipelines without end":
		ends = "never"
	case b.ends == never:
		ends = "never, unless `IdleTimeout` is set"
	case b.ends > 0:
		ends = fmt.Sprintf("%.0f s", b.ends.Seconds())
	}
	return fmt.Sprintf("| %s | %s | 1 | %s | 0 |", b.kind, size, ends)
}

func TestBoundsDocument(t *testing.T) {
	text, err := os.ReadFile("../docs/bounds.md")
	require.NoError(t, err)
	for _, b := range bounds {
		require.Contains(t, string(text), "\n"+b.row()+"\n")
	}
}

// TestBounds holds each cell of the table: many hostile connections at default settings, over
// real sockets, while the clocks stand still until they are looked at.
func TestBounds(t *testing.T) {
	for _, b := range bounds {
		t.Run(b.kind, func(t *testing.T) {
			n := b.conns
			if n == 0 {
				n = 500
			}
			clock, log := new(ioloop.ManualClock), new(logBuffer)
			srv := &tcp.Server{Handler: lines, Group: newGroup(t, 1, ioloop.Config{Clock: clock}),
				Logger: slog.New(slog.NewTextHandler(log, nil))}
			if b.server != nil {
				b.server(srv)
			}
			addr, _ := local(t, srv)
			dial(t, addr).Close() // what is there once is there
			eventually(t, func() bool { return srv.Stats().Conns == 0 && srv.Stats().Accepted == 1 })
			memory, files := memoryInUse(), openFiles(t)+ofProcess
			stop := attack(t, addr, b.kind, n)
			defer stop()
			eventually(t, func() bool { return srv.Stats().Accepted == uint64(n+1) })
			settle := srv.Stats().Conns
			if b.ends == 0 {
				eventually(t, func() bool { return srv.Stats().Conns == 0 })
				settle = 0
			}
			if b.ends != 0 {
				require.Equal(t, n, settle)
			}
			require.LessOrEqual(t, openFiles(t)-files, settle)
			var each int64
			require.Eventually(t, func() bool { // a buffer that grows is there twice for a moment
				each = (memoryInUse() - memory) / int64(n) >> 10
				return each <= b.memory
			}, patience, 20*time.Millisecond, "memory")
			t.Logf("%d KiB for each connection", each)
			if b.ends > 0 {
				loop := srv.Group.Loops()[0]
				comeToRest(t, loop) // a turn begins with few
				if b.stuck {
					awaitStuck(t, loop, n)
				}
				for eighth := range 12 { // some clocks are measured to a quarter, from when they are looked at
					if eighth == 6 && !b.early {
						require.Equal(t, n, srv.Stats().Conns)
					}
					clock.Advance(b.ends / 8)
					comeToRest(t, loop)
				}
				eventually(t, func() bool { return srv.Stats().Conns == 0 })
				eventually(t, func() bool { return openFiles(t) <= files })
			}
			require.Empty(t, log.String())
		})
	}
}

// comeToRest has a loop do what is due, which may take many turns, each with a share of it.
func comeToRest(t *testing.T, l *ioloop.Loop) {
	eventually(t, func() bool {
		const turns = 4
		before := l.Stats().Callbacks
		for range turns {
			on(t, l, func() {})
		}
		return l.Stats().Callbacks-before <= turns
	})
}

// awaitStuck waits until each of n streams of a loop has something to send that the peer does not
// take, or half a message, as the kernel may stop the peer before: nothing moves in many turns,
// however slow the machine. Only then do all clocks run.
func awaitStuck(t *testing.T, l *ioloop.Loop, n int) {
	t.Helper()
	const turns, long = 50, 200 * time.Millisecond
	still, last, since := 0, int64(-1), time.Now()
	eventually(t, func() bool {
		stuck, moved := 0, int64(0)
		on(t, l, func() {
			for s := range iostream.Streams(l) {
				if s.Backlog() > 0 || s.Buffered() > 0 {
					stuck++
				}
				moved += s.Mark() - int64(s.Backlog()) + int64(s.Buffered())
			}
		})
		if still++; moved != last || stuck < n {
			still, last, since = 0, moved, time.Now()
		}
		return still > turns && time.Since(since) > long
	})
}

// memoryInUse returns what the heap and stacks have, garbage aside.
func memoryInUse() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

// ofProcess is how many descriptors another process takes: two pipes and a handle.
const ofProcess = 3

func openFiles(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/dev/fd")
	require.NoError(t, err)
	return len(entries)
}

// attack has another process make so many hostile connections, which it keeps until the
// returned function is called.
func attack(t *testing.T, addr net.Addr, kind string, n int) (stop func()) {
	t.Helper()
	cmd := selfexec.Command("EDDY_TCP_CHILD=hostile", addr.String(), kind, strconv.Itoa(n))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "done\n", line)
	return func() {
		_ = in.Close()
		_ = cmd.Wait()
	}
}

func init() { children["hostile"] = hostileChild }

func hostileChild() {
	kind, ok := hostile.Find(os.Args[2])
	n, err := strconv.Atoi(os.Args[3])
	if !ok || err != nil {
		panic("usage")
	}
	var wg sync.WaitGroup
	var keep []net.Conn
	for range n {
		c, err := net.DialTCP("tcp", nil, net.TCPAddrFromAddrPort(netip.MustParseAddrPort(os.Args[1])))
		if err != nil {
			panic(err)
		}
		keep = append(keep, c)
		wg.Go(func() { kind.Act(c) })
	}
	wg.Wait()
	fmt.Println("done")
	_, _ = io.Copy(io.Discard, os.Stdin)
	runtime.KeepAlive(keep)
}
