//go:build unix || windows

package iostream_test

import (
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/eddyloop/eddy/internal/wine"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/stretchr/testify/require"
)

// scenario is something that a program can do with a stream, what Tornado's
// IOStream makes of it, and what Eddy does.
type scenario struct {
	number  int
	name    string
	tornado string
	eddy    string   // empty: the same
	why     string   // where they differ
	over    []string // nil: everything
	config  *iostream.Config
	once    bool   // the style of the calls makes no difference
	late    bool   // over TLS, poll(2) without POLLRDHUP may not notice before a read
	test    string // where it is tested, if not here
	run     func(e *env)
}

var (
	sockets = []string{"tcp", "unix", "tls1.2", "tls1.3"}
	overTCP = []string{"tcp", "tls1.2", "tls1.3"}
	tcpOnly = []string{"tcp"}
	piped   = []string{"pipe"}
)

// env is where a scenario is played: a stream that reads what the peer sends
// and one that writes what the peer receives, which are the same on sockets.
type env struct {
	*testing.T
	face    face
	loop    *ioloop.Loop
	in, out *iostream.Stream
	network string
	sender  net.Conn // the peer's side of in
	getter  net.Conn // the peer's side of out
}

func newEnv(t *testing.T, network string, f face, config *iostream.Config) *env {
	e := &env{T: t, face: f, network: network, loop: startLoop(t, ioloop.Config{})}
	e.in, e.sender = pair(t, e.loop, network, config)
	e.out, e.getter = e.in, e.sender
	if network == "pipe" {
		s, r := writer(t, e.loop, makePipe, config)
		e.out, e.getter = s, filePeer{r}
	}
	return e
}

// start begins a read and returns when it is pending.
func (e *env) start(op operation) <-chan result {
	e.Helper()
	pending := e.face.read(e.T, e.in, op)
	awaitRead(e.T, e.in)
	return pending
}

// read does a read and checks what it comes to.
func (e *env) read(op operation, data string, err error) {
	e.Helper()
	e.got(e.face.read(e.T, e.in, op), data, err)
}

func (e *env) got(pending <-chan result, data string, err error) {
	e.Helper()
	r := receive(e.T, pending)
	requireIs(e.T, r.err, err)
	require.Equal(e, data, r.data)
}

func (e *env) send(pieces ...string) { e.Helper(); send(e.T, e.sender, pieces...) }

func (e *env) expect(text string) { e.Helper(); expect(e.T, e.getter, text) }

// fin ends what the peer sends.
func (e *env) fin() { e.Helper(); closeWrite(e.T, e.sender) }

// hangUp closes the peer's side.
func (e *env) hangUp() { e.Helper(); require.NoError(e, e.sender.Close()) }

func (e *env) write(text string) {
	e.Helper()
	n, err := e.out.Write([]byte(text))
	require.NoError(e, err)
	require.Equal(e, len(text), n)
}

// buffered waits until n bytes have been received that no read has taken.
func (e *env) buffered(n int) {
	e.Helper()
	_, err := e.in.Read(patient(e.T), iostream.Peek(n))
	require.NoError(e, err)
}

func (e *env) quiet() { quiet(e.T, e.loop) }

// ended waits until the end of the peer is noticed, which closes nothing.
func (e *env) ended() error {
	e.Helper()
	require.NoError(e, e.in.WaitReadClosed(patient(e.T)))
	if e.in.Err() != nil {
		return e.in.Err()
	}
	return io.EOF
}

// closed waits for the close of in, and returns why.
func (e *env) closed() error {
	e.Helper()
	require.NoError(e, e.in.WaitClosed(patient(e.T)))
	return e.in.Err()
}

// block writes more than the kernel takes, and returns how much that is.
func (e *env) block() int {
	e.Helper()
	for n := 0; ; n += 1 << 20 {
		if e.out.Backlog() > 1<<20 {
			return n
		}
		e.write(strings.Repeat("b", 1<<20))
		e.quiet()
	}
}

// drain has the peer receive n bytes.
func (e *env) drain(n int) {
	e.Helper()
	require.NoError(e, e.getter.SetReadDeadline(time.Now().Add(patience)))
	_, err := io.CopyN(io.Discard, e.getter, int64(n))
	require.NoError(e, err)
}

// reset has the peer end the connection with a reset.
func (e *env) reset() { e.Helper(); reset(e.T, e.sender) }

// scenarios are all of them, in order.
func scenarios() (all []scenario) {
	for _, section := range [][]scenario{tornadoWrites, tornadoReads, tornadoSearches, tornadoEnds,
		tornadoTrouble, tornadoConnects, tornadoTLS, tornadoPipes} {
		all = append(all, section...)
	}
	return all
}

func (s scenario) runsOver(network string) bool {
	if s.over == nil {
		return true
	}
	for _, name := range s.over {
		if name == network {
			return true
		}
	}
	return false
}

// pollsLate is the switch of package poller under the tag eddy_poll. Wine is as late.
var pollsLate = os.Getenv("EDDY_POLL") == "late" || wine.Here()

// TestTornado plays the scenarios over everything that they are about.
func TestTornado(t *testing.T) {
	for _, network := range []string{"tcp", "unix", "pipe", "tls1.2", "tls1.3"} {
		t.Run(network, func(t *testing.T) {
			if network == "pipe" && len(pipes) == 0 {
				t.Skip("no streams of pipes on this system")
			}
			for _, s := range scenarios() {
				if s.run == nil || !s.runsOver(network) {
					continue
				}
				t.Run(fmt.Sprintf("%03d %s", s.number, s.name), func(t *testing.T) {
					if s.late && pollsLate && strings.HasPrefix(network, "tls") {
						t.Skip("the end is behind an unread record")
					}
					for i, f := range faces {
						if s.once && i > 0 {
							continue
						}
						t.Run(f.name, func(t *testing.T) { s.run(newEnv(t, network, f, s.config)) })
					}
				})
			}
		})
	}
}

var update = flag.Bool("update", false, "write docs/tornado.md anew")

const tornadoDoc = "../docs/tornado.md"

// TestTornadoDocument compares the document with the table that it is made of.
func TestTornadoDocument(t *testing.T) {
	var b strings.Builder
	b.WriteString(`# Coming from Tornado

What a program meets that is ported from Tornado's IOStream (6.x): one row for each
thing that can be done with a stream, what Tornado makes of it, and what Eddy
does. Every row that names what it is run over is a test, ` + "`go test -run TestTornado\n./iostream`" + `, in each of the three
styles of calling (task, goroutine, callback), and on the backends of its last
column. "All" are epoll, the emulated kqueue (` + "`-tags eddy_kqueue`" + `, and ` + "`EDDY_KQUEUE`" + `
names the system), poll(2) (` + "`-tags eddy_poll`" + `), and poll(2) without POLLRDHUP, as AIX,
Solaris and illumos have it (with ` + "`EDDY_POLL=late`" + `). This cannot see the end of the
peer behind unread bytes, and over TLS the last record, close_notify, is some: in the
rows that say "late" an idle TLS stream may notice the end only when it is read
from. This page is made of its table:
` + "`go test -run TestTornadoDocument ./iostream -update`" + `.

| | scenario | Tornado | Eddy | why it differs | run over | on |
|---|---|---|---|---|---|---|
`)
	last, tests := 0, testSources(t)
	for _, s := range scenarios() {
		last++
		require.Equal(t, last, s.number, "none is left out")
		eddy, over, on := s.eddy, "TCP, Unix, pipes, TLS", "all"
		if s.late {
			on = "all; over TLS late without POLLRDHUP"
		}
		if eddy == "" {
			eddy = "the same"
		}
		require.Equal(t, s.eddy == "", s.why == "", "%d", s.number)
		switch {
		case s.run == nil && s.test != "":
			over = s.test
			for _, name := range regexp.MustCompile(`Test\w+`).FindAllString(s.test, -1) {
				require.True(t, strings.Contains(tests, "func "+name+"(t "), "%d: no %s", s.number, name)
			}
		case s.run == nil:
			over, on = "–", "–"
		case s.over != nil:
			over = strings.NewReplacer("tcp", "TCP", "unix", "Unix", "pipe", "pipes", "tls1.2, tls1.3", "TLS").Replace(strings.Join(s.over, ", "))
		}
		fmt.Fprintf(&b, "| %d | %s | %s | %s | %s | %s | %s |\n", s.number, s.name, s.tornado, eddy, s.why, over, on)
	}
	require.Equal(t, 150, last)
	if *update {
		require.NoError(t, os.WriteFile(tornadoDoc, []byte(b.String()), 0o644))
	}
	have, err := os.ReadFile(tornadoDoc)
	require.NoError(t, err)
	require.True(t, b.String() == string(have), "stale: run with -update")
}

// testSources returns the tests of this package and of package tcp.
func testSources(t *testing.T) string {
	var all strings.Builder
	for _, dir := range []string{".", "../tcp"} {
		names, err := filepath.Glob(dir + "/*_test.go")
		require.NoError(t, err)
		for _, name := range names {
			source, err := os.ReadFile(name)
			require.NoError(t, err)
			all.Write(source)
		}
	}
	return all.String()
}
