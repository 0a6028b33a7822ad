package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/eddyloop/eddy/examples/internal/trial"
)

func open(t *testing.T) string {
	r := &room{nameTimeout: time.Minute, idleTimeout: time.Hour, maxBacklog: 64 << 10}
	return trial.Serve(t, r.server())
}

// enter connects a member, who is there when it returns.
func enter(t *testing.T, address, name string) net.Conn {
	conn := trial.Dial(t, address)
	say(t, conn, name)
	trial.Expect(t, conn, "* "+name+" is here\n")
	return conn
}

func say(t *testing.T, conn net.Conn, line string) {
	_, err := fmt.Fprintln(conn, line)
	require.NoError(t, err)
}

func TestLinesReachEverybodyElse(t *testing.T) {
	address := open(t)
	ann, bob := enter(t, address, "ann"), enter(t, address, "bob")
	trial.Expect(t, ann, "* bob is here\n")
	say(t, ann, "hello")
	require.Equal(t, "<ann> hello\n", trial.Expect(t, bob, "\n"))
	say(t, bob, "hello you")
	require.Equal(t, "<bob> hello you\n", trial.Expect(t, ann, "\n"), "and not what she said herself")
	require.NoError(t, bob.Close())
	require.Equal(t, "* bob has left\n", trial.Expect(t, ann, "\n"))
}

func TestNetcatIsAClient(t *testing.T) {
	address := open(t)
	ann := enter(t, address, "ann")
	host, port, _ := strings.Cut(address, ":")
	out := trial.Ask(t, "ann\nbob\nhi there\n/quit\n", "nc", host, port)
	require.Equal(t, "* your name?\n* that name is taken, or none; your name?\n* bob is here\n", out)
	require.Equal(t, "* bob is here\n<bob> hi there\n* bob has left\n", trial.Expect(t, ann, "left\n"))
}

// A member who does not read holds nobody up, and is dropped; the others miss nothing.
func TestSlowReaderIsDropped(t *testing.T) {
	r := &room{nameTimeout: time.Minute, idleTimeout: time.Hour, maxBacklog: 64 << 10}
	srv := r.server()
	srv.Stream.CloseTimeout = 100 * time.Millisecond
	address := trial.Serve(t, srv)
	enter(t, address, "slow")
	ann, bob := enter(t, address, "ann"), enter(t, address, "bob")
	heard, left := bufio.NewReader(bob), false
	for i := 0; !left; i++ {
		say(t, ann, strings.Repeat("x", 1000))
		for said := false; !said; {
			line := trial.Expect(t, heard, "\n")
			said = strings.HasPrefix(line, "<ann> x")
			left = left || line == "* slow has left\n"
		}
	}
}

func TestSlowReaderIsToldWhy(t *testing.T) {
	r := &room{nameTimeout: time.Minute, idleTimeout: time.Hour, maxBacklog: 64 << 10}
	address := trial.Serve(t, r.server())
	slow, ann := enter(t, address, "slow"), enter(t, address, "ann")
	r.mu.Lock()
	s := r.members["slow"]
	r.mu.Unlock()
	for s.Backlog() <= r.maxBacklog { // it looks away for a while
		say(t, ann, strings.Repeat("x", 1000))
	}
	say(t, ann, "one more")
	all, err := io.ReadAll(slow)
	require.NoError(t, err)
	require.True(t, strings.HasSuffix(string(all), "x\n* you read too slowly: good bye\n"))
}

func TestWhoSaysNoNameIsDropped(t *testing.T) {
	r := &room{nameTimeout: 50 * time.Millisecond, idleTimeout: time.Hour, maxBacklog: 64 << 10}
	all, err := io.ReadAll(trial.Dial(t, trial.Serve(t, r.server())))
	require.NoError(t, err)
	require.Equal(t, "* your name?\n* you have not said your name: good bye\n", string(all))
}

func TestWhoSaysNothingForLongIsDropped(t *testing.T) {
	r := &room{nameTimeout: time.Minute, idleTimeout: time.Second, maxBacklog: 64 << 10}
	silent := enter(t, trial.Serve(t, r.server()), "silent")
	_, err := io.ReadAll(silent)
	require.NoError(t, err)
}
