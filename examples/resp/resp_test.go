package main

import (
	"io"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/eddyloop/eddy/examples/internal/trial"
)

func TestRedisCLI(t *testing.T) {
	_, port, _ := strings.Cut(trial.Serve(t, newServer()), ":")
	cli := func(commands ...string) string {
		return trial.Ask(t, strings.Join(commands, "\n"), "redis-cli", "-p", port)
	}
	require.Equal(t, "PONG\n", cli("ping"))
	require.Equal(t, "OK\nhello\n\n", cli("set k hello", "get k", "get other"))
	require.Equal(t, "1\n2\n1\n0\n", cli("incr n", "incr n", "exists n", "exists m"))
	require.Equal(t, "2\n\n", cli("del n k", "get k"))
	require.Equal(t, "OK\n-1\n1\n100\n1\n-2\n", cli("set k v", "ttl k", "expire k 100", "ttl k", "expire k 0", "ttl k"))
	require.Contains(t, cli("incr", "set a b", "incr a"), "ERR value is not an integer")
	require.Equal(t, "OK\n", cli("set big "+strings.Repeat("x", 1<<20)))
	require.Equal(t, strings.Repeat("x", 1<<20)+"\n", cli("get big"))
}

func TestKeysExpire(t *testing.T) {
	_, port, _ := strings.Cut(trial.Serve(t, newServer()), ":")
	require.Equal(t, "OK\n", trial.Ask(t, "", "redis-cli", "-p", port, "set", "k", "v", "ex", "1"))
	trial.Eventually(t, func() bool {
		return trial.Ask(t, "", "redis-cli", "-p", port, "exists", "k") == "0\n"
	})
}

func TestRedisBenchmark(t *testing.T) {
	_, port, _ := strings.Cut(trial.Serve(t, newServer()), ":")
	out := trial.Ask(t, "", "redis-benchmark", "-p", port, "-n", "20000", "-P", "16", "-q", "-t", "ping,set,get,incr")
	found := regexp.MustCompile(`[A-Z_]+: [0-9.]+ requests per second`).FindAllString(out, -1)
	require.Len(t, found, 5, out)
	t.Log(strings.Join(found, "; "))
	require.Equal(t, "20000\n", trial.Ask(t, "", "redis-cli", "-p", port, "get", "counter:__rand_int__"))
}

func TestNonsenseEndsTheConnection(t *testing.T) {
	for _, nonsense := range []string{"*x\r\n", "*1\r\nGET\r\n", "*1\r\n$-5\r\n", "*2000\r\n", "*99999999999999999999\r\n"} {
		conn := trial.Dial(t, trial.Serve(t, newServer()))
		_, err := io.WriteString(conn, "PING\r\n"+nonsense)
		require.NoError(t, err)
		all, err := io.ReadAll(conn)
		require.NoError(t, err)
		require.Equal(t, "+PONG\r\n-ERR Protocol error\r\n", string(all), "%q", nonsense)
	}
}
