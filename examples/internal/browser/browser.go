//go:build unix

// Package browser lets tests use a page in a real browser, by the DevTools protocol.
package browser

import (
	"bufio"
	"context"
	"encoding/json"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"
	"github.com/stretchr/testify/require"

	"github.com/eddyloop/eddy/examples/internal/trial"
)

// Page is a page that a browser shows.
type Page struct {
	conn    *websocket.Conn
	session string
	last    int
}

var devTools = regexp.MustCompile(`ws://\S+`)

// Open starts a browser, until the test ends, and opens a page. Without a browser the test
// is skipped.
func Open(t *testing.T, url string) *Page {
	if testing.Short() {
		t.Skip("a browser takes seconds to start")
	}
	cmd := exec.Command(trial.Program(t, "chromium"), "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-sync",
		"--user-data-dir="+t.TempDir(), "--remote-debugging-port=0", "about:blank")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // the browser is several processes
	stderr, err := cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
	})
	lines := bufio.NewScanner(stderr)
	address := ""
	for address == "" && lines.Scan() {
		address = devTools.FindString(lines.Text())
	}
	require.NotEmpty(t, address, "it says where it is controlled")
	go func() {
		for lines.Scan() {
		}
	}()
	ctx, cancel := context.WithTimeout(t.Context(), trial.Patience)
	defer cancel()
	conn, _, err := websocket.Dial(ctx, address, nil)
	require.NoError(t, err)
	conn.SetReadLimit(16 << 20)
	t.Cleanup(func() { _ = conn.CloseNow() })
	p := &Page{conn: conn}
	target := p.call(t, "Target.createTarget", map[string]any{"url": url})
	attached := p.call(t, "Target.attachToTarget", map[string]any{"targetId": target["targetId"], "flatten": true})
	p.session = attached["sessionId"].(string)
	return p
}

// call returns the result of a command of the protocol.
func (p *Page) call(t *testing.T, method string, params map[string]any) map[string]any {
	ctx, cancel := context.WithTimeout(t.Context(), trial.Patience)
	defer cancel()
	p.last++
	command := map[string]any{"id": p.last, "method": method, "params": params}
	if p.session != "" {
		command["sessionId"] = p.session
	}
	require.NoError(t, wsjson.Write(ctx, p.conn, command))
	for {
		var answer struct {
			ID     int             `json:"id"`
			Result map[string]any  `json:"result"`
			Error  json.RawMessage `json:"error"`
		}
		require.NoError(t, wsjson.Read(ctx, p.conn, &answer))
		if answer.ID == p.last {
			require.Empty(t, string(answer.Error), method)
			return answer.Result
		}
	}
}

// Run runs a script in the page and returns its value as text. It waits for a promise.
func (p *Page) Run(t *testing.T, script string) string {
	answer := p.call(t, "Runtime.evaluate", map[string]any{
		"expression": "(async () => String(await (" + script + ")))()", "awaitPromise": true, "returnByValue": true,
	})
	require.NotContains(t, answer, "exceptionDetails")
	value, _ := answer["result"].(map[string]any)["value"].(string)
	return value
}

// Await waits until a script's value contains text.
func (p *Page) Await(t *testing.T, script, text string) {
	trial.Eventually(t, func() bool { return strings.Contains(p.Run(t, script), text) })
}
