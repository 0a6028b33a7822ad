package main

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestConversation(t *testing.T) {
	d := start(t)
	require.Regexp(t, `^127\.0\.0\.1:[1-9]\d*$`, d.addrs[0])
	c := d.dial()
	c.echo("hi dude! that is all!")
	c.echo("whats up! that is all!")
	c.send("that is all!")
	c.expectEOF()
}

func TestSeveralMessagesInOnePacket(t *testing.T) {
	d := start(t)
	c := d.dial()
	c.send("one that is all!two that is all!that is all!never that is all!")
	c.expect("one that is all!two that is all!")
	c.expectEOF()
}

func TestByteByByte(t *testing.T) {
	d := start(t)
	c := d.dial()
	for _, message := range []string{"hi dude! that is all!", "that is that is all!"} {
		for i := range len(message) {
			c.send(message[i : i+1])
			time.Sleep(time.Millisecond) // or the kernel might put them together
		}
		c.expect(message)
	}
}

func TestModes(t *testing.T) {
	for _, test := range []struct {
		name        string
		args        []string
		send, echo  string
		left, after string // sent, and echoed once after is sent
	}{
		{"delim", []string{"-delim", "END"}, "aENDbEND", "aENDbEND", "EN", "D..END"},
		{"line", []string{"-mode", "line"}, "a\n\nthat is all!\n", "a\n\nthat is all!\n", "half ", "line\n"},
		{"raw", []string{"-mode", "raw"}, "that is all!\n\x00", "that is all!\n\x00", "", "x"},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := start(t, test.args...)
			c := d.dial()
			c.send(test.send + test.left)
			c.expect(test.echo)
			if test.name != "delim" {
				c.send(test.after)
				c.expect(test.left + test.after)
				return
			}
			c.send("D") // nothing but the delimiter
			c.expectEOF()
		})
	}
}

func TestListen(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("a process cannot be sent signals there")
	}
	dir, err := os.MkdirTemp("", "echod")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "socket")
	d := start(t, "-listen", "127.0.0.1:0", "-listen", "unix:"+path, "-listen", "127.0.0.1:0")
	require.Len(t, d.addrs, 3)
	require.Equal(t, "unix:"+path, d.addrs[1])
	for i := range d.addrs {
		d.dialAt(i).echo("hello that is all!")
	}
	d.stop(syscall.SIGTERM)
	require.NoFileExists(t, path)
}

func TestLogging(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("a process cannot be sent signals there")
	}
	d := start(t, "-log", "json", "-v", "-max-message", "100")
	c := d.dial()
	c.echo("hello that is all!")
	c.Close()
	tooLong := d.dial()
	tooLong.send(strings.Repeat("x", 200))
	tooLong.expectEnd()
	tooLong.Close()
	d.stop(os.Interrupt)
	var messages []string
	for line := range strings.Lines(d.stderr.String()) {
		var record struct {
			Level, Msg string
			Client     *string
		}
		require.NoError(t, json.Unmarshal([]byte(line), &record), line)
		if record.Client != nil {
			require.Contains(t, []string{c.LocalAddr().String(), tooLong.LocalAddr().String()}, *record.Client)
		}
		messages = append(messages, record.Level+" "+record.Msg)
	}
	require.ElementsMatch(t, []string{"DEBUG connected", "DEBUG closed", "DEBUG connected",
		"WARN message is too long", "DEBUG closed", "INFO stopped"}, messages)
}

// A message that is too long costs its client the connection, but not what it
// was sent before.
func TestMaxMessage(t *testing.T) {
	for _, mode := range []string{"delim", "line"} {
		t.Run(mode, func(t *testing.T) {
			d := start(t, "-max-message", "20", "-mode", mode, "-delim", "\n")
			other := d.dial()
			other.echo("hello\n")
			c := d.dial()
			fits := strings.Repeat("x", 19) + "\n"
			c.echo(fits)
			c.send(fits + strings.Repeat("y", 200_000))
			c.expect(fits)
			c.expectEOF()
			other.echo("still served\n")
			eventually(t, func() bool { return strings.Count(d.stderr.String(), "\n") == 1 })
			require.Contains(t, d.stderr.String(), "too long")
			require.Contains(t, d.stderr.String(), c.LocalAddr().String())
		})
	}
}

func TestLargestMessage(t *testing.T) {
	d := start(t, "-mode", "line", "-max-message", "3000000")
	c := d.dial()
	message := append(bytes.Repeat([]byte("m"), 2_999_999), '\n')
	go func() {
		for range 3 {
			_, _ = c.Write(message)
		}
	}()
	for range 3 {
		got := make([]byte, len(message))
		_, err := io.ReadFull(c, got)
		require.NoError(t, err)
		require.True(t, bytes.Equal(message, got))
	}
}

func TestMaxConns(t *testing.T) {
	d := start(t, "-max-conns", "2")
	a, b := d.dial(), d.dial()
	a.echo("a that is all!")
	b.echo("b that is all!")
	waiting := d.dial()
	waiting.send("c that is all!")
	require.NoError(t, waiting.SetReadDeadline(time.Now().Add(50*time.Millisecond)))
	_, err := waiting.Read(make([]byte, 1))
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	require.NoError(t, waiting.SetReadDeadline(time.Now().Add(patience)))
	a.Close()
	waiting.expect("c that is all!")
}

func TestIdleTimeout(t *testing.T) {
	const message = "hello that is all!"
	d := start(t, "-idle-timeout", "100ms")
	eventually(t, func() bool {
		c := d.dial()
		defer c.Close()
		begin := time.Now() // no later than what the timeout counts from
		_, _ = io.WriteString(c, message)
		got, err := io.ReadAll(c)
		require.GreaterOrEqual(t, time.Since(begin), 90*time.Millisecond)
		if err != nil || len(got) == 0 {
			return false // the test has been idle for too long itself
		}
		require.Equal(t, message, string(got))
		return true
	})
}

func TestStop(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("a process cannot be sent signals there")
	}
	for _, signal := range stopSignals {
		t.Run(signal.String(), func(t *testing.T) {
			d := start(t, "-mode", "line", "-drain-timeout", patience.String())
			idle, busy := d.dial(), d.dial()
			idle.echo("hello\n")
			busy.send("whole\nhalf a ")
			busy.expect("whole\n")
			require.NoError(t, d.cmd.Process.Signal(signal))
			idle.expectEOF() // it is stopping
			busy.send("message\n")
			busy.expect("half a message\n")
			busy.expectEOF()
			d.wait()
			require.Contains(t, d.stderr.String(), "drained=2 forced=0")
		})
	}
}

// An echo that is in the daemon when it is told to stop arrives.
func TestStopWithEchoInFlight(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("a process cannot be sent signals there")
	}
	d := start(t, "-mode", "line", "-max-message", "8000000", "-drain-timeout", patience.String())
	c := d.dial()
	message := append(bytes.Repeat([]byte("m"), 7_999_999), '\n')
	_, err := c.Write(message)
	require.NoError(t, err)
	c.expect("m") // it has all of the message
	require.NoError(t, d.cmd.Process.Signal(syscall.SIGTERM))
	rest, err := io.ReadAll(c)
	require.NoError(t, err)
	require.Equal(t, len(message)-1, len(rest))
	d.wait()
}

// A second signal ends the daemon although a client is in the middle of a message.
func TestStopTwice(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("a process cannot send another one os.Interrupt there")
	}
	d := start(t, "-mode", "line", "-drain-timeout", patience.String())
	c := d.dial()
	c.send("whole\nhalf a ")
	c.expect("whole\n")
	ended := make(chan error, 1)
	go func() { ended <- d.cmd.Wait() }()
	eventually(t, func() bool { // signals that come too soon after one another are one
		_ = d.cmd.Process.Signal(os.Interrupt)
		return len(ended) > 0
	})
	require.ErrorContains(t, <-ended, "interrupt")
	require.NotContains(t, d.stderr.String(), "stopped", "it has not waited for the client")
}

func TestBadCommandLine(t *testing.T) {
	busy, inUse := start(t).addrs[0], "address already in use"
	if runtime.GOOS == "windows" {
		inUse = "bind: "
	}
	for _, test := range []struct{ args, says string }{
		{"-nonsense", "-nonsense"},
		{"word", `"word"`},
		{"-mode telepathy", "-mode"},
		{"-delim=", "-delim"},
		{"-delim toolong -max-message 3", "-delim"},
		{"-loops many", "-loops"},
		{"-loops -1", "-loops"},
		{"-max-conns x", "-max-conns"},
		{"-max-conns -1", "-max-conns"},
		{"-max-message x", "-max-message"},
		{"-max-message 0", "-max-message"},
		{"-max-message -5", "-max-message"},
		{"-max-message 1073741825", "-max-message"},
		{"-idle-timeout 5", "-idle-timeout"},
		{"-idle-timeout -5s", "-idle-timeout"},
		{"-log xml", "-log"},
		{"-v=perhaps", "-v"},
		{"-listen", "-listen"},
		{"-listen " + busy, inUse},
		{"-listen 127.0.0.1:0 -listen " + busy, inUse},
		{"-listen nonsense", "nonsense"},
		{"-listen 127.0.0.1:99999", "99999"},
		{"-listen 192.0.2.1:0", "192.0.2.1"},
		{"-listen unix:", "unix"},
		{"-listen unix:/no/such/directory/socket", "/no/such/directory"},
	} {
		t.Run(test.args, func(t *testing.T) {
			require.Contains(t, fails(t, strings.Fields(test.args)...), test.says)
		})
	}
}

func TestHelp(t *testing.T) {
	out, err := command("-h").CombinedOutput()
	require.NoError(t, err)
	for _, name := range []string{"-listen", "-mode", "-delim", "-loops", "-max-conns", "-max-message",
		"-idle-timeout", "-log", "-v"} {
		require.Contains(t, string(out), "  "+name)
	}
}
