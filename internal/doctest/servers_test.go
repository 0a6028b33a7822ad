package doctest

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/eddyloop/eddy/internal/closedport"
	"github.com/eddyloop/eddy/internal/testtime"
	"github.com/stretchr/testify/require"
)

// program is a server made of a snippet, in a process of its own.
type program struct {
	address string
	process *os.Process
}

// serve builds and runs the README's snippet of that name. What it serves at ":PORT" is at
// a free port.
func serve(t *testing.T, name string) program {
	t.Helper()
	snippets, err := Read("../../README.md")
	require.NoError(t, err)
	var code string
	for _, s := range snippets {
		if s.Name == name {
			code = s.Code
		}
	}
	require.NotEmpty(t, code, "README.md has no snippet %q", name)
	address := closedport.Free(t)
	for _, port := range []string{`"127.0.0.1:8000"`, `":8000"`, `":8080"`} {
		code = strings.ReplaceAll(code, port, fmt.Sprintf("%q", address))
	}
	if !strings.HasPrefix(code, "package ") {
		body := "func main() {\nctx := context.Background()\n_ = ctx\nvar handler http.Handler = http.NotFoundHandler()\n_ = handler\n" + code + "\n_ = err\n}\n"
		code = "package main\n" + imports(body) + body
	}
	require.NoError(t, os.MkdirAll("testdata", 0o700)) // ./... leaves it out
	dir, err := os.MkdirTemp("testdata", name)
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir); os.Remove("testdata") })
	require.NoError(t, os.WriteFile(filepath.Join(dir, "main.go"), []byte(code), 0o600))
	binary := filepath.Join(t.TempDir(), name)
	out, err := exec.Command("go", "build", "-o", binary, "./"+dir).CombinedOutput()
	require.NoError(t, err, "%s", out)
	cmd := exec.Command(binary)
	cmd.Stderr = os.Stderr
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	p := program{address, cmd.Process}
	require.Eventually(t, func() bool {
		c, err := net.Dial("tcp", address)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	}, patience, 10*time.Millisecond)
	return p
}

var patience = testtime.Patience(30 * time.Second)

func (p program) dial(t *testing.T) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", p.address)
	require.NoError(t, err)
	require.NoError(t, c.SetDeadline(time.Now().Add(patience)))
	t.Cleanup(func() { c.Close() })
	return c.(*net.TCPConn)
}

// descriptors returns how many sockets the server has open, where that can be seen.
func (p program) descriptors(t *testing.T) int {
	names, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", p.process.Pid))
	require.NoError(t, err)
	n := 0
	for _, name := range names {
		if to, err := os.Readlink(name); err == nil && strings.HasPrefix(to, "socket:") {
			n++
		}
	}
	return n
}

// TestServers has each echo server of the README meet clients that do their worst. It goes on
// to serve, and no connection stays.
func TestServers(t *testing.T) {
	for name, test := range map[string]struct{ end, before string }{
		"message-server": {"\n", "you said "}, "task-server": {"that is all!", ""}, "callback-server": {"\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			p, end := serve(t, name), test.end
			honest := func() {
				c := p.dial(t)
				_, err := io.WriteString(c, "hi dude! "+end)
				require.NoError(t, err)
				expect(t, c, test.before+"hi dude! "+end)
				require.NoError(t, c.Close())
			}
			honest()
			before := p.descriptors(t)
			for client, attack := range hostile {
				t.Run(client, func(t *testing.T) { attack(t, p.dial(t), end, test.before) })
				honest()
			}
			require.Eventually(t, func() bool { return p.descriptors(t) <= before }, patience, 20*time.Millisecond,
				"a connection stays")
		})
	}
}

func expect(t *testing.T, c *net.TCPConn, want string) {
	t.Helper()
	got := make([]byte, len(want))
	_, err := io.ReadFull(c, got)
	require.NoError(t, err)
	require.Equal(t, want, string(got))
}

var hostile = map[string]func(t *testing.T, c *net.TCPConn, end, before string){
	"over-long": func(t *testing.T, c *net.TCPConn, end, before string) {
		chunk := []byte(strings.Repeat("x", 64<<10))
		for range 64 {
			if _, err := c.Write(chunk); err != nil {
				break
			}
		}
		_, err := io.Copy(io.Discard, c)
		if ne, ok := err.(net.Error); ok {
			require.False(t, ne.Timeout(), "the connection does not end")
		}
	},
	"reset": func(t *testing.T, c *net.TCPConn, end, before string) {
		_, err := io.WriteString(c, "hi "+end+"half a message")
		require.NoError(t, err)
		require.NoError(t, c.SetLinger(0))
		require.NoError(t, c.Close())
	},
	"never reads": func(t *testing.T, c *net.TCPConn, end, before string) {
		require.NoError(t, c.SetWriteDeadline(time.Now().Add(300*time.Millisecond)))
		message := []byte(strings.Repeat("x", 1000) + end)
		for {
			if _, err := c.Write(message); err != nil {
				break // it holds back, or ends the connection
			}
		}
		require.NoError(t, c.SetLinger(0))
		require.NoError(t, c.Close())
	},
	"half-close": func(t *testing.T, c *net.TCPConn, end, before string) {
		_, err := io.WriteString(c, "hi "+end)
		require.NoError(t, err)
		require.NoError(t, c.CloseWrite())
		got, err := io.ReadAll(c)
		require.NoError(t, err)
		require.Equal(t, before+"hi "+end, string(got))
	},
	"slow": func(t *testing.T, c *net.TCPConn, end, before string) {
		message := "slow but sure" + end
		for i := range message {
			_, err := io.WriteString(c, message[i:i+1])
			require.NoError(t, err)
			time.Sleep(2 * time.Millisecond)
		}
		expect(t, c, before+message)
		require.NoError(t, c.Close())
	},
}

func TestHTTPServer(t *testing.T) {
	p := serve(t, "http-server")
	for range 3 {
		response, err := http.Get("http://" + p.address)
		require.NoError(t, err)
		_, err = io.Copy(io.Discard, bufio.NewReader(response.Body))
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, http.StatusNotFound, response.StatusCode)
	}
}
