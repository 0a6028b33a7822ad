//go:build unix

package tcp_test

import (
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/eddyloop/eddy/tcp"
	"github.com/stretchr/testify/require"
)

// fileServer serves a file of that size with package net/http, over Eddy or package net.
func fileServer(t testing.TB, size int, overNet bool) (url string, data []byte) {
	t.Helper()
	dir := t.TempDir()
	data = make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{}).Read(data)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "file"), data, 0o600))
	var listener net.Listener
	if overNet {
		var err error
		listener, err = net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
	} else {
		srv := new(tcp.Server)
		_, err := srv.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		listener, err = srv.NetListener()
		require.NoError(t, err)
		go srv.Serve(t.Context())
		t.Cleanup(func() { require.NoError(t, srv.Close()) })
	}
	web := &http.Server{Handler: http.FileServer(http.Dir(dir))}
	go web.Serve(listener)
	t.Cleanup(func() { _ = web.Close() })
	return "http://" + listener.Addr().String() + "/file", data
}

func TestFileServer(t *testing.T) {
	for _, overNet := range []bool{true, false} {
		url, data := fileServer(t, 5<<20+17, overNet)
		client := &http.Client{Timeout: patience, Transport: new(http.Transport)}
		defer client.CloseIdleConnections()
		for ranges, want := range map[string][]byte{
			"": data, "bytes=1000-3000000": data[1000:3000001], "bytes=-70000": data[len(data)-70000:], "bytes=5-9": data[5:10],
		} {
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
			require.NoError(t, err)
			if ranges != "" {
				request.Header.Set("Range", ranges)
			}
			response, err := client.Do(request)
			require.NoError(t, err)
			got, err := io.ReadAll(response.Body)
			require.NoError(t, err)
			require.NoError(t, response.Body.Close())
			require.Equal(t, want, got, ranges)
		}
	}
}

// BenchmarkFileServer tells the processor time for a file of 16 MiB, the client's included.
func BenchmarkFileServer(b *testing.B) {
	for name, overNet := range map[string]bool{"eddy": false, "net": true} {
		b.Run(name, func(b *testing.B) {
			const size = 16 << 20
			url, _ := fileServer(b, size, overNet)
			client := &http.Client{Transport: new(http.Transport)}
			defer client.CloseIdleConnections()
			b.SetBytes(size)
			before := processorTime()
			for b.Loop() {
				response, err := client.Get(url)
				require.NoError(b, err)
				_, err = io.Copy(io.Discard, response.Body)
				require.NoError(b, err)
				require.NoError(b, response.Body.Close())
			}
			b.ReportMetric(float64((processorTime()-before).Microseconds())/float64(b.N), "cpu-µs/op")
		})
	}
}
