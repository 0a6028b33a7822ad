package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// endings are what ends a message in each mode.
var endings = map[string]string{"delim": "that is all!", "line": "\n", "raw": ""}

func eachMode(t *testing.T, fn func(t *testing.T, d *daemon, end string), args ...string) {
	for mode, end := range endings {
		t.Run(mode, func(t *testing.T) { fn(t, start(t, append(args, "-mode", mode)...), end) })
	}
}

// A client that never reads what it sends up to 200 MiB for is not read from
// any more: the daemon does not grow, and serves the others.
func TestClientThatNeverReads(t *testing.T) {
	const most = 200 << 20
	eachMode(t, func(t *testing.T, d *daemon, end string) {
		other := d.dial()
		greedy := d.dial()
		block := []byte(strings.Repeat(strings.Repeat("x", 1000)+end, 64))
		sent := 0
		for sent < most {
			require.NoError(t, greedy.SetWriteDeadline(time.Now().Add(300*time.Millisecond)))
			n, err := greedy.Write(block)
			sent += n
			if err != nil {
				require.ErrorIs(t, err, os.ErrDeadlineExceeded)
				break
			}
		}
		require.Less(t, sent, most)
		other.echo("hello " + end)
		require.Less(t, d.peakMemory(), int64(64<<20))
		// It has lost nothing: if it reads at last, everything comes.
		go greedy.closeWrite()
		n, err := io.Copy(io.Discard, greedy)
		require.NoError(t, err)
		require.LessOrEqual(t, n, int64(sent))
		require.Greater(t, n, int64(sent-1000-len(end)), "whole messages")
	})
}

// One message and then silence: the echo comes, it does not wait for more.
func TestOneMessageThenSilence(t *testing.T) {
	eachMode(t, func(t *testing.T, d *daemon, end string) {
		for i := range 200 {
			c := d.dial()
			c.echo(fmt.Sprint("message ", i, end))
			c.echo("and one more" + end)
			c.Close()
		}
	})
}

// A client that ends its side after its last message, as `nc -N` does, gets the
// whole echo and then the end.
func TestHalfClose(t *testing.T) {
	eachMode(t, func(t *testing.T, d *daemon, end string) {
		for _, count := range []int{1, 10_000} {
			c := d.dial()
			messages := strings.Repeat("message "+end, count)
			go func() {
				_, _ = io.WriteString(c, messages)
				c.closeWrite()
			}()
			got, err := io.ReadAll(c)
			require.NoError(t, err)
			require.True(t, bytes.Equal([]byte(messages), got))
		}
	})
}

func TestResets(t *testing.T) {
	eachMode(t, func(t *testing.T, d *daemon, end string) {
		other := d.dial()
		for i := range 50 {
			c := d.dial()
			switch i % 3 {
			case 0:
				c.send("half a mess")
			case 1:
				c.send(strings.Repeat("message "+end, 1000))
			}
			require.NoError(t, c.Conn.(*net.TCPConn).SetLinger(0))
			c.Close()
			other.echo("unharmed " + end)
		}
	}, "-max-conns", "10")
}

// A client that sends a byte now and then holds up nobody.
func TestSlowClient(t *testing.T) {
	d := start(t, "-loops", "1")
	slow, other := d.dial(), d.dial()
	message := "slow that is all!"
	for i := range len(message) {
		slow.send(message[i : i+1])
		time.Sleep(10 * time.Millisecond)
		other.echo("quick that is all!")
	}
	slow.expect(message)
}
