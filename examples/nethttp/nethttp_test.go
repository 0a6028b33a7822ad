package main

import (
	"context"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/eddyloop/eddy/examples/internal/trial"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/tcp"
)

func start(t *testing.T) (web, rpc, certFile string) {
	cert, _, certFile, _ := trial.Certificate(t)
	web, rpc = trial.Free(t), trial.Free(t)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- serve(ctx, cert, web, rpc) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-ended)
	})
	trial.Dial(t, web).Close()
	trial.Dial(t, rpc).Close()
	return web, rpc, certFile
}

func TestCurl(t *testing.T) {
	web, _, certFile := start(t)
	_, port, _ := strings.Cut(web, ":")
	for flag, proto := range map[string]string{"--http2": "HTTP/2.0", "--http1.1": "HTTP/1.1"} {
		out := trial.Ask(t, "", "curl", "-sS", flag, "--cacert", certFile, "https://localhost:"+port+"/")
		require.Equal(t, "hello over "+proto+" from localhost\n", out)
	}
}

func TestGRPC(t *testing.T) {
	_, rpc, _ := start(t)
	checkHealth(t, rpc)
}

// The client's connection is a stream too.
func TestGRPCWithClientOnLoop(t *testing.T) {
	_, rpc, _ := start(t)
	checkHealth(t, rpc, grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
		return dialer(t).DialContext(ctx, "tcp", address)
	}))
}

func checkHealth(t *testing.T, address string, options ...grpc.DialOption) {
	options = append(options, grpc.WithTransportCredentials(insecure.NewCredentials()))
	conn, err := grpc.NewClient("passthrough:///"+address, options...)
	require.NoError(t, err)
	defer conn.Close()
	ctx, cancel := context.WithTimeout(t.Context(), trial.Patience)
	defer cancel()
	client := grpc_health_v1.NewHealthClient(conn)
	for range 100 {
		answer, err := client.Check(ctx, &grpc_health_v1.HealthCheckRequest{})
		require.NoError(t, err)
		require.Equal(t, grpc_health_v1.HealthCheckResponse_SERVING, answer.Status)
	}
	watch, err := client.Watch(ctx, &grpc_health_v1.HealthCheckRequest{})
	require.NoError(t, err)
	answer, err := watch.Recv()
	require.NoError(t, err)
	require.Equal(t, grpc_health_v1.HealthCheckResponse_SERVING, answer.Status)
}

func TestHTTPClientOnLoop(t *testing.T) {
	server := tcp.Server{}
	addr, err := server.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	listener, err := server.NetListener()
	require.NoError(t, err)
	trial.Run(t, &server)
	go http.Serve(listener, http.NotFoundHandler())
	transport := &http.Transport{DialContext: dialer(t).DialContext}
	defer transport.CloseIdleConnections()
	answer, err := (&http.Client{Transport: transport}).Get("http://" + addr.String())
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	require.Equal(t, http.StatusNotFound, answer.StatusCode)
}

func dialer(t *testing.T) *tcp.Dialer {
	loop, err := ioloop.New(ioloop.Config{})
	require.NoError(t, err)
	go loop.Run(context.Background())
	t.Cleanup(func() { _ = loop.Close() })
	return &tcp.Dialer{Loop: loop}
}
