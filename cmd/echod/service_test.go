//go:build unix

package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/eddyloop/eddy/internal/closedport"
	"github.com/eddyloop/eddy/internal/testtime"
	"github.com/stretchr/testify/require"
)

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	client := &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get(url)
	require.NoError(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, string(body)
}

func TestAdmin(t *testing.T) {
	d := start(t, "-admin", "127.0.0.1:0", "-budget", "64MiB", "-loops", "2")
	admin := d.admin()
	c := d.dial()
	for range 10 {
		c.echo("hi dude! that is all!")
	}
	for path, want := range map[string]string{
		"/": "<title>echod</title>", "/healthz": "ok", "/readyz": "ok", "/debug/vars": `"echod"`,
		"/debug/pprof/": "goroutine", "/stats": `"messages":10`,
	} {
		status, body := get(t, admin+path)
		require.Equal(t, http.StatusOK, status, path)
		require.Contains(t, body, want, path)
	}
	_, metrics := get(t, admin+"/metrics")
	for _, line := range []string{
		"echod_messages_total 10", "echod_received_bytes_total 210", "echod_sent_bytes_total 210",
		"echod_connections 1", `eddy_loop_turns_total{loop="1"}`,
	} {
		require.Contains(t, metrics, line)
	}
	checkMetrics(t, metrics)
	status, _ := get(t, admin+"/nothing")
	require.Equal(t, http.StatusNotFound, status)
	d.stop(syscall.SIGTERM)
}

// checkMetrics has Prometheus's own tool look at them, where it is installed.
func checkMetrics(t *testing.T, metrics string) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		return
	}
	cmd := exec.Command(promtool, "check", "metrics")
	cmd.Stdin = strings.NewReader(metrics)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
}

// While the daemon drains it serves, and says that it is no longer ready.
func TestAdminTellsOfDraining(t *testing.T) {
	d := start(t, "-admin", "127.0.0.1:0", "-drain-timeout", testtime.Patience(20*time.Second).String())
	admin := d.admin()
	c := d.dial()
	c.echo2("one that is all!half a ", "one that is all!") // read with it: else it could count as idle
	require.NoError(t, d.cmd.Process.Signal(syscall.SIGTERM))
	eventually(t, func() bool {
		status, _ := get(t, admin+"/readyz")
		return status == http.StatusServiceUnavailable
	})
	status, _ := get(t, admin+"/healthz")
	require.Equal(t, http.StatusOK, status)
	c.echo2("message that is all!", "half a message that is all!")
	c.expectEOF()
	d.wait()
}

func (c *client) echo2(send, expect string) {
	c.t.Helper()
	c.send(send)
	c.expect(expect)
}

func TestTLS(t *testing.T) {
	d := start(t, "-tls-self-signed")
	conn, err := tls.Dial("tcp", d.addrs[0], &tls.Config{InsecureSkipVerify: true})
	require.NoError(t, err)
	c := &client{conn, t}
	defer c.Close()
	require.NoError(t, c.SetDeadline(time.Now().Add(patience)))
	c.echo("hi dude! that is all!")
	out, err := command("-connect", d.addrs[0], "-tls-insecure", "-check", "-duration", "100ms", "-conns", "2").CombinedOutput()
	require.NoError(t, err, "%s", out)
	out, err = command("-connect", d.addrs[0], "-tls", "-check", "-duration", "100ms").CombinedOutput()
	require.Error(t, err, "the certificate is nobody's")
	require.Contains(t, string(out), "certificate")
}

func TestProxy(t *testing.T) {
	d := start(t, "-proxy-from", "127.0.0.0/8", "-v")
	c := d.dial()
	c.send("PROXY TCP4 192.0.2.7 192.0.2.8 4711 80\r\n")
	c.echo("hi dude! that is all!")
	eventually(t, func() bool { return strings.Contains(d.stderr.String(), "192.0.2.7:4711") })
	other := start(t, "-proxy-from", "10.0.0.0/8")
	c = other.dial()
	c.send("PROXY TCP4 192.0.2.7 192.0.2.8 4711 80\r\n that is all!")
	c.expect("PROXY TCP4 192.0.2.7 192.0.2.8 4711 80\r\n that is all!")
}

func TestDiscardAndChargen(t *testing.T) {
	d := start(t, "-mode", "discard")
	c := d.dial()
	c.send(strings.Repeat("x", 1<<20))
	c.closeWrite()
	c.expectEOF()

	d = start(t, "-mode", "chargen")
	c = d.dial()
	c.send("this is ignored")
	got := make([]byte, 1<<20)
	_, err := io.ReadFull(c, got)
	require.NoError(t, err)
	lines := bytes.Split(got, []byte("\r\n"))
	require.Equal(t, ` !"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\]^_`+"`abcdefg", string(lines[0]))
	require.Equal(t, `!"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\]^_`+"`abcdefgh", string(lines[1]))
	require.Equal(t, lines[0], lines[95])
}

func TestEnvironment(t *testing.T) {
	t.Setenv("ECHOD_MODE", "line")
	t.Setenv("ECHOD_LISTEN", "127.0.0.1:0 127.0.0.1:0")
	t.Setenv("ECHOD_MAX_MESSAGE", "1KiB")
	o, err := parse(nil, io.Discard)
	require.NoError(t, err)
	require.Equal(t, "line", o.mode)
	require.Equal(t, list{"127.0.0.1:0", "127.0.0.1:0"}, o.listen)
	require.Equal(t, size(1024), o.maxMessage)
	o, err = parse([]string{"-mode", "raw", "-listen", "127.0.0.1:1"}, io.Discard)
	require.NoError(t, err)
	require.Equal(t, "raw", o.mode, "the command line wins")
	require.Equal(t, list{"127.0.0.1:1"}, o.listen)
	t.Setenv("ECHOD_MAX_CONNS", "many")
	_, err = parse(nil, io.Discard)
	require.ErrorContains(t, err, "ECHOD_MAX_CONNS")
}

func TestVersion(t *testing.T) {
	out, err := command("-version").CombinedOutput()
	require.NoError(t, err)
	require.Regexp(t, `^echod \S`, string(out))
}

// TestClient is the reference conversation, by echod's own client.
func TestClient(t *testing.T) {
	d := start(t)
	cmd := command("-connect", d.addrs[0])
	cmd.Stdin = strings.NewReader("hi dude! that is all!that is all!")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Equal(t, "hi dude! that is all!", string(out))
	require.Contains(t, fails(t, "-connect", closedport.Address(t)), "refused")
}

func TestCheck(t *testing.T) {
	for _, mode := range []string{"delim", "line", "raw"} {
		d := start(t, "-mode", mode)
		var out []byte
		for duration := 100 * time.Millisecond; duration < patience; duration *= 4 { // until it is enough for a message
			var err error
			out, err = command("-connect", d.addrs[0], "-mode", mode, "-check", "-conns", "3", "-pipeline", "4", "-size", "1000",
				"-duration", duration.String()).Output()
			require.NoError(t, err, "%s", out)
			if !bytes.HasPrefix(out, []byte("0 messages")) {
				break
			}
		}
		require.Regexp(t, `^[1-9]\d* messages of 1000 bytes verified on 3 connections`, string(out))
		require.Regexp(t, `latency: 50 % [1-9]`, string(out))
	}
}

// A server that changes one byte is found out.
func TestCheckFindsALiar(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		buffer := make([]byte, 64)
		for i := 0; ; i++ {
			if _, err := io.ReadFull(c, buffer); err != nil {
				return
			}
			if i == 5 {
				buffer[20] ^= 1
			}
			_, _ = c.Write(buffer)
		}
	}()
	out, err := command("-connect", l.Addr().String(), "-mode", "raw", "-check", "-conns", "1", "-duration", "20s").CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(out), "message 5: what came back is not what was sent")
}

// Hand-over: clients connect and talk all the time, and none notices that the process
// is another one afterwards.
func TestHandover(t *testing.T) {
	pid := regexp.MustCompile(`handed over.*pid=(\d+)`)
	d := start(t, "-drain-timeout", patience.String())
	stop, failed, rounds := make(chan struct{}), make(chan error, 1), 0
	go func() {
		defer close(failed)
		for {
			select {
			case <-stop:
				return
			default:
			}
			if err := talk(d.addrs[0]); err != nil {
				failed <- fmt.Errorf("round %d: %w", rounds, err)
				return
			}
			rounds++
		}
	}()
	idle := d.dial()
	idle.echo("before that is all!")
	require.NoError(t, d.cmd.Process.Signal(syscall.SIGHUP))
	eventually(t, func() bool { return pid.MatchString(d.stderr.String()) })
	successor := pid.FindStringSubmatch(d.stderr.String())[1]
	defer exec.Command("kill", "-KILL", successor).Run()
	eventually(t, func() bool { return strings.Contains(d.stderr.String(), "stopped") })
	require.Contains(t, d.stderr.String(), "forced=0")
	require.NoError(t, talk(d.addrs[0]))
	close(stop)
	require.NoError(t, <-failed)
	require.Positive(t, rounds)
	require.NoError(t, exec.Command("kill", "-KILL", successor).Run())
	d.wait() // which waits for the successor's standard error too
}

func talk(address string) error {
	conn, err := connect(address)
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(conn, "hi dude! that is all!"); err != nil {
		return err
	}
	_, err = io.ReadFull(conn, make([]byte, 21))
	return err
}

// A new process that cannot serve does not take over.
func TestHandoverFails(t *testing.T) {
	dir := t.TempDir()
	certificate, key := writeCertificate(t, dir)
	d := start(t, "-tls-cert", certificate, "-tls-key", key)
	require.NoError(t, os.Remove(key))
	require.NoError(t, d.cmd.Process.Signal(syscall.SIGUSR2))
	eventually(t, func() bool { return strings.Contains(d.stderr.String(), "cannot hand over") })
	conn, err := tls.Dial("tcp", d.addrs[0], &tls.Config{InsecureSkipVerify: true})
	require.NoError(t, err)
	defer conn.Close()
	(&client{conn, t}).echo("still here that is all!")
	d.stop(syscall.SIGTERM)
}

func writeCertificate(t *testing.T, dir string) (certificate, key string) {
	made, err := selfSigned()
	require.NoError(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(made.PrivateKey)
	require.NoError(t, err)
	certificate, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for file, block := range map[string]*pem.Block{
		certificate: {Type: "CERTIFICATE", Bytes: made.Certificate[0]},
		key:         {Type: "PRIVATE KEY", Bytes: der},
	} {
		require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(block), 0o600))
	}
	return certificate, key
}

// The sockets of a service manager are used, and it is told when they are served.
func TestSocketActivation(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	file, err := l.(*net.TCPListener).File()
	require.NoError(t, err)
	defer file.Close()
	defer l.Close()
	notifications, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(t.TempDir(), "notify"), Net: "unixgram"})
	require.NoError(t, err)
	defer notifications.Close()
	cmd := command("-listen", "fd:3")
	cmd.ExtraFiles = []*os.File{file}
	cmd.Env = append(cmd.Env, "NOTIFY_SOCKET="+notifications.LocalAddr().String())
	require.NoError(t, cmd.Start())
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	require.NoError(t, notifications.SetReadDeadline(time.Now().Add(patience)))
	word := make([]byte, 100)
	n, err := notifications.Read(word)
	require.NoError(t, err)
	require.Equal(t, fmt.Sprintf("READY=1\nMAINPID=%d\n", cmd.Process.Pid), string(word[:n]))
	require.NoError(t, talk(l.Addr().String()))
}
