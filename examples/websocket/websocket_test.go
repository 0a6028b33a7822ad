//go:build unix

package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"github.com/eddyloop/eddy/examples/internal/browser"
	"github.com/eddyloop/eddy/examples/internal/trial"
	"github.com/eddyloop/eddy/examples/websocket/wsconn"
)

func TestMain(m *testing.M) { trial.Main(m, main) }

func open(t *testing.T) string {
	address := trial.Free(t)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- run(ctx, address) }()
	t.Cleanup(func() {
		cancel()
		require.ErrorIs(t, <-ended, context.Canceled)
	})
	trial.Dial(t, address)
	return address
}

func limited(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), trial.Patience)
	t.Cleanup(cancel)
	return ctx
}

func dial(t *testing.T, address string) *websocket.Conn {
	conn, _, err := websocket.Dial(limited(t), "ws://"+address+"/", nil)
	require.NoError(t, err)
	conn.SetReadLimit(wsconn.MaxMessage)
	t.Cleanup(func() { _ = conn.CloseNow() })
	return conn
}

func TestWhatOneSaysAllGet(t *testing.T) {
	address := open(t)
	clients := []*websocket.Conn{dial(t, address), dial(t, address), dial(t, address)}
	for _, size := range []int{0, 5, 125, 126, 1000, wsconn.MaxMessage} {
		text := strings.Repeat("é", size/2)
		require.NoError(t, clients[0].Write(limited(t), websocket.MessageText, []byte(text)))
		for _, c := range clients {
			_, got, err := c.Read(limited(t))
			require.NoError(t, err)
			require.Equal(t, text, string(got))
		}
	}
}

// A message may come in fragments, with a ping between them that is answered.
func TestFragments(t *testing.T) {
	address := open(t)
	c := dial(t, address)
	w, err := c.Writer(limited(t), websocket.MessageText)
	require.NoError(t, err)
	for i := range 3000 {
		fmt.Fprint(w, i, " ")
	}
	ponged := make(chan error, 1)
	go func() { ponged <- c.Ping(limited(t)) }()
	require.NoError(t, w.Close())
	_, got, err := c.Read(limited(t))
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(string(got), "0 1 2 ") && strings.HasSuffix(string(got), " 2999 "))
	go func() { _, _, _ = c.Read(limited(t)) }()
	require.NoError(t, <-ponged)
}

func TestClosingHandshake(t *testing.T) {
	require.NoError(t, dial(t, open(t)).Close(websocket.StatusNormalClosure, "bye"))
}

func TestBadClientsAreToldWhy(t *testing.T) {
	address := open(t)
	c := dial(t, address)
	require.NoError(t, c.Write(limited(t), websocket.MessageText, make([]byte, wsconn.MaxMessage+1)))
	_, _, err := c.Read(limited(t))
	require.Equal(t, websocket.StatusMessageTooBig, websocket.CloseStatus(err))

	c = dial(t, address)
	require.NoError(t, c.Write(limited(t), websocket.MessageText, []byte("\xff")))
	_, _, err = c.Read(limited(t))
	require.Equal(t, websocket.StatusInvalidFramePayloadData, websocket.CloseStatus(err))

	conn := trial.Dial(t, address)
	handshake(t, conn)
	_, err = conn.Write([]byte("\x81\x02hi")) // not masked
	require.NoError(t, err)
	all, err := io.ReadAll(conn)
	require.NoError(t, err)
	require.Equal(t, "\x88", string(all[:1]))
	require.Equal(t, "\x03\xea", string(all[2:4]), "1002")
}

func TestOtherRequests(t *testing.T) {
	address := open(t)
	answer, err := http.Get("http://" + address + "/")
	require.NoError(t, err)
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	require.Equal(t, string(page), string(body))

	conn := trial.Dial(t, address)
	_, err = conn.Write([]byte("nonsense\r\n\r\n"))
	require.NoError(t, err)
	trial.Expect(t, conn, "400 Bad Request")
}

// The page itself, in a browser.
func TestBrowser(t *testing.T) {
	address := open(t)
	p := browser.Open(t, "http://"+address+"/")
	p.Await(t, `document.getElementById("state")?.textContent`, "connected")
	p.Run(t, `document.querySelector("input").value = "hello from a browser", document.querySelector("form").requestSubmit()`)
	p.Await(t, `document.getElementById("log").textContent`, "hello from a browser")
	other := dial(t, address)
	require.NoError(t, other.Write(limited(t), websocket.MessageText, []byte("and from elsewhere")))
	p.Await(t, `document.getElementById("log").textContent`, "and from elsewherehello")
}

// Ten thousand quiet connections cost little, and one of them is answered at once.
func TestQuietConnections(t *testing.T) {
	if testing.Short() || runtime.GOOS != "linux" {
		t.Skip("memory is read from /proc")
	}
	const conns = 10_000
	var limit syscall.Rlimit
	require.NoError(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit))
	if limit.Cur < conns+500 {
		t.Skipf("a process may have no more than %d descriptors", limit.Cur)
	}
	address := trial.Free(t)
	server := trial.Background(t, trial.Self(t), "-listen", address)
	handshake(t, trial.Dial(t, address))
	before := resident(t, server.Process.Pid)
	quiet := make([]net.Conn, conns)
	for i := range quiet {
		conn, err := net.Dial("tcp", address)
		require.NoError(t, err)
		defer conn.Close()
		handshake(t, conn)
		quiet[i] = conn
	}
	after := resident(t, server.Process.Pid)
	t.Logf("%d connections: %d bytes of memory for each", conns, (after-before)/conns)
	require.Less(t, (after-before)/conns, 16<<10)

	_, err := quiet[0].Write([]byte("\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58")) // "Hello" of RFC 6455, section 5.7
	require.NoError(t, err)
	begin := time.Now()
	for _, conn := range quiet {
		trial.Expect(t, conn, "\x81\x05Hello")
	}
	t.Logf("a message reached them all within %v", time.Since(begin))
}

// handshake makes a WebSocket of conn.
func handshake(t *testing.T, conn net.Conn) {
	_, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: server\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	require.NoError(t, err)
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	require.Equal(t, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", answer.Header.Get("Sec-WebSocket-Accept"))
}

var rss = regexp.MustCompile(`VmRSS:\s+(\d+) kB`)

// resident returns how many bytes of memory a process has.
func resident(t *testing.T, pid int) int {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	require.NoError(t, err)
	kB, err := strconv.Atoi(rss.FindStringSubmatch(string(status))[1])
	require.NoError(t, err)
	return kB << 10
}
