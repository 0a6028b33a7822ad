//go:build unix

package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"
	"github.com/stretchr/testify/require"

	"github.com/eddyloop/eddy/examples/internal/browser"
	"github.com/eddyloop/eddy/examples/internal/trial"
)

func TestMain(m *testing.M) { trial.Main(m, main) }

// client is a session of a client: it comes back when its connection ends, as page.html does.
type client struct {
	t       *testing.T
	address string
	name    string
	giveUp  func() // ends the test

	conn     *websocket.Conn
	last     *uint64
	unheard  map[string]message
	heard    []message
	progress atomic.Int64   // len(heard)
	gateways map[string]int // that it was connected to
}

// connect connects until that succeeds.
func (c *client) connect(ctx context.Context) {
	for c.conn = nil; c.conn == nil && ctx.Err() == nil; time.Sleep(20 * time.Millisecond) {
		if conn, err := c.tryConnect(ctx); err == nil {
			c.conn = conn
		}
	}
}

func (c *client) tryConnect(ctx context.Context) (*websocket.Conn, error) {
	local := ""
	transport := &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, address)
		if err == nil {
			local = conn.LocalAddr().String()
		}
		return conn, err
	}}
	url := "ws://" + c.address + "/"
	if c.last != nil {
		url += fmt.Sprintf("?after=%d", *c.last)
	}
	limited, cancel := context.WithTimeout(ctx, trial.Patience)
	defer cancel()
	conn, _, err := websocket.Dial(limited, url, &websocket.DialOptions{HTTPClient: &http.Client{Transport: transport}})
	if err != nil {
		return nil, err
	}
	var greeting hello
	if err := wsjson.Read(limited, conn, &greeting); err != nil {
		_ = conn.CloseNow()
		return nil, err
	}
	if greeting.You != local || greeting.Missed {
		c.t.Errorf("%s is called %+v", local, greeting)
	}
	c.gateways[greeting.Gateway]++
	c.last = &greeting.Seq
	for _, m := range c.unheard {
		_ = wsjson.Write(limited, conn, m)
	}
	return conn, nil
}

// resume says messages, each when the one before has come back, and returns when it has
// heard total.
func (c *client) resume(ctx context.Context, count, total int, pace time.Duration) {
	said := 0
	for len(c.heard) < total && ctx.Err() == nil {
		if len(c.unheard) == 0 && said < count {
			m := message{ID: fmt.Sprintf("%s-%d", c.name, said), Text: strings.Repeat("x", 100)}
			c.unheard[m.ID] = m
			said++
			time.Sleep(pace)
			_ = wsjson.Write(ctx, c.conn, m)
		}
		var m message
		if err := wsjson.Read(ctx, c.conn, &m); err != nil {
			_ = c.conn.CloseNow()
			c.connect(ctx)
			continue
		}
		if m.Seq != *c.last+1 {
			c.t.Errorf("%s: message %d follows on %d", c.name, m.Seq, *c.last)
			c.giveUp()
			return
		}
		delete(c.unheard, m.ID)
		c.heard = append(c.heard, m)
		c.progress.Add(1)
		c.last = &m.Seq
	}
}

func newClient(t *testing.T, address, name string) *client {
	return &client{t: t, giveUp: func() {}, address: address, name: name, unheard: make(map[string]message), gateways: make(map[string]int)}
}

// process is a gateway in a process of its own.
type process struct {
	t       *testing.T
	program string
	args    []string
	*exec.Cmd
}

func (p *process) start() {
	p.Cmd = trial.Command(context.Background(), p.program, p.args...)
	p.Stderr = os.Stderr
	require.NoError(p.t, p.Start())
}

// end sends a signal and returns how the process ended.
func (p *process) end(signal os.Signal) error {
	require.NoError(p.t, p.Process.Signal(signal))
	return p.Wait()
}

// start starts a NATS server, three gateways that use it, and haproxy in front of them.
func start(t *testing.T) (front string, gateways [3]*process) {
	haproxy, program := trial.Program(t, "haproxy"), trial.Self(t)
	nats := trial.Free(t)
	trial.Background(t, program, "-listen", "", "-nats-listen", nats)
	front = trial.Free(t)
	conf, err := os.ReadFile("haproxy.cfg")
	require.NoError(t, err)
	conf = []byte(strings.ReplaceAll(string(conf), "127.0.0.1:8000", front))
	for i := range gateways {
		address := trial.Free(t)
		conf = []byte(strings.ReplaceAll(string(conf), fmt.Sprintf("127.0.0.1:800%d", i+1), address))
		p := &process{t: t, program: program, args: []string{"-listen", address, "-nats", "nats://" + nats, "-proxies", "127.0.0.0/8"}}
		p.start()
		t.Cleanup(func() {
			_ = p.Process.Kill()
			_ = p.Wait()
		})
		trial.Dial(t, address).Close()
		gateways[i] = p
	}
	path := filepath.Join(t.TempDir(), "haproxy.cfg")
	require.NoError(t, os.WriteFile(path, conf, 0o600))
	trial.Background(t, haproxy, "-db", "-f", path)
	trial.Dial(t, front).Close()
	return front, gateways
}

// Clients of three gateways talk to one another. One gateway is drained and comes back, then
// another is killed; every client hears every message once, all in the same order.
func TestThreeGateways(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes seconds")
	}
	front, gateways := start(t)
	const count, each, total = 9, 30, 9 * 30
	ctx, cancel := context.WithTimeout(t.Context(), 2*trial.Patience)
	defer cancel()
	clients := make([]*client, count)
	var over sync.WaitGroup
	for i := range clients { // all are there before any speaks
		clients[i] = newClient(t, front, fmt.Sprint("client", i))
		clients[i].giveUp = cancel
		clients[i].connect(ctx)
		require.NoError(t, ctx.Err())
	}
	for _, c := range clients {
		over.Go(func() { c.resume(ctx, each, total, 20*time.Millisecond) })
	}
	reached := func(n int64) {
		trial.Eventually(t, func() bool { return clients[0].progress.Load() >= n || ctx.Err() != nil })
	}
	reached(total / 4)
	require.NoError(t, gateways[0].end(syscall.SIGTERM), "it ends in good order")
	gateways[0].start()
	reached(total / 2)
	require.Error(t, gateways[1].end(syscall.SIGKILL))
	over.Wait()
	require.NoError(t, ctx.Err())
	for _, c := range clients {
		_ = c.conn.CloseNow()
	}

	used := make(map[string]int)
	for _, c := range clients {
		require.Len(t, c.heard, total)
		require.Equal(t, clients[0].heard, c.heard, "all hear the same in the same order")
		for gateway, n := range c.gateways {
			used[gateway] += n
		}
	}
	once := make(map[string]bool)
	for _, m := range clients[0].heard {
		require.False(t, once[m.ID], "%s was heard twice", m.ID)
		once[m.ID] = true
	}
	require.Len(t, used, 3, "clients were on all gateways")
	t.Log("connections to each gateway: ", used)
}

// One command is enough to try it: NATS is in the process. The page comes back by itself
// when the gateway was restarted, and says what was not heard.
func TestAlone(t *testing.T) {
	program, address, store := trial.Self(t), trial.Free(t), t.TempDir()
	p := &process{t: t, program: program, args: []string{"-listen", address, "-nats-store", store}}
	p.start()
	defer func() { require.NoError(t, p.end(syscall.SIGTERM)) }()
	trial.Dial(t, address).Close()
	c := newClient(t, address, "client")
	c.connect(t.Context())

	page := browser.Open(t, "http://"+address+"/")
	page.Await(t, `document.getElementById("state")?.textContent`, "connected")
	page.Run(t, `document.querySelector("input").value = "one", document.querySelector("form").requestSubmit()`)
	page.Await(t, `document.getElementById("log").textContent`, "one")
	c.resume(t.Context(), 0, 1, 0)
	require.Equal(t, "one", c.heard[0].Text)
	require.NoError(t, c.conn.CloseNow())

	require.NoError(t, p.end(syscall.SIGTERM))
	page.Await(t, `document.getElementById("state").textContent`, "again")
	page.Run(t, `document.querySelector("input").value = "two", document.querySelector("form").requestSubmit()`)
	p.start()
	page.Await(t, `document.getElementById("log").textContent`, "twoone")
	c.connect(t.Context())
	c.resume(t.Context(), 1, 3, 0)
	defer func() { _ = c.conn.CloseNow() }()
	require.Equal(t, "two", c.heard[1].Text)
	page.Await(t, `document.getElementById("log").textContent`, c.heard[2].Text+"twoone")
}

// alone runs a gateway in this process, and returns a client of it.
func alone(t *testing.T) *client {
	address := trial.Free(t)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, options{listen: address, bus: busOptions{replicas: 1}}) }()
	c := newClient(t, address, "client")
	t.Cleanup(func() {
		_ = c.conn.CloseNow()
		cancel()
		require.NoError(t, <-ended)
	})
	trial.Dial(t, address).Close()
	c.connect(t.Context())
	return c
}

func TestNonsenseIsRefused(t *testing.T) {
	c := alone(t)
	require.NoError(t, c.conn.Write(t.Context(), websocket.MessageText, []byte("no message")))
	_, _, err := c.conn.Read(t.Context())
	require.Equal(t, websocket.StatusUnsupportedData, websocket.CloseStatus(err))
}

func TestWhatIsSaidTwiceIsHeardOnce(t *testing.T) {
	c := alone(t)
	for _, id := range []string{"a", "a", "b"} {
		require.NoError(t, wsjson.Write(t.Context(), c.conn, message{ID: id}))
	}
	c.resume(t.Context(), 0, 2, 0)
	require.Equal(t, []message{{Seq: 1, ID: "a"}, {Seq: 2, ID: "b"}}, c.heard)
}
