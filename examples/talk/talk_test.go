package main

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/eddyloop/eddy/examples/internal/trial"
)

func TestClientTalksToServer(t *testing.T) {
	address := trial.Serve(t, newServer())
	var out strings.Builder
	require.NoError(t, converse(t.Context(), &out, address, "hi dude! that is all!", "whats up! that is all!"))
	require.Equal(t, "hi dude! that is all!\nwhats up! that is all!\n", out.String())
}

func TestNetcatTalksToServer(t *testing.T) {
	host, port, _ := strings.Cut(trial.Serve(t, newServer()), ":")
	require.Equal(t, "hi dude! that is all!", trial.Ask(t, "hi dude! that is all!that is all!", "nc", host, port))
}

// A conversation under way is let go on when the server is told to end.
func TestEndsInGoodOrder(t *testing.T) {
	address := trial.Free(t)
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error)
	go func() { served <- serve(ctx, address) }()
	conn := trial.Dial(t, address)
	_, err := conn.Write([]byte("hi dude! that is all!and"))
	require.NoError(t, err)
	trial.Expect(t, conn, "hi dude! that is all!")
	cancel()
	_, err = conn.Write([]byte(" more that is all!"))
	require.NoError(t, err)
	trial.Expect(t, conn, "and more that is all!")
	require.NoError(t, <-served)
}
