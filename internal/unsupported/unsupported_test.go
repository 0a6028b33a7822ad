//go:build !unix && !windows

package unsupported_test

import (
	"context"
	"errors"
	"net"
	"os/exec"
	"testing"
	"time"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/poller"
	"github.com/eddyloop/eddy/process"
	"github.com/eddyloop/eddy/tcp"
	"github.com/stretchr/testify/require"
)

// noPoller is a Poller that does nothing but wake: somebody may bring one.
type noPoller struct {
	poller.Unimplemented
	woken chan struct{}
}

func (p noPoller) Wait(_ []poller.Event, timeout time.Duration) (int, error) {
	if timeout < 0 {
		<-p.woken
	}
	return 0, nil
}

func (p noPoller) Wake() error {
	select {
	case p.woken <- struct{}{}:
	default:
	}
	return nil
}

// Where there is no backend every constructor says so, and no other error.
func TestUnsupported(t *testing.T) {
	l, err := ioloop.New(ioloop.Config{Poller: noPoller{woken: make(chan struct{}, 1)}})
	require.NoError(t, err)
	ended := make(chan error)
	go func() { ended <- l.Run(context.Background()) }()
	defer func() {
		require.NoError(t, l.Close())
		require.NoError(t, <-ended)
	}()
	handler := func(*ioloop.Task, *iostream.Stream) error { return nil }
	for name, construct := range map[string]func() error{
		"poller.New":         func() error { _, err := poller.New(); return err },
		"ioloop.New":         func() error { _, err := ioloop.New(ioloop.Config{}); return err },
		"ioloop.NewGroup":    func() error { _, err := ioloop.NewGroup(2, ioloop.Config{}); return err },
		"iostream.NewSocket": func() error { _, err := iostream.NewSocket(l, 0, nil); return err },
		"iostream.NewPipe":   func() error { _, err := iostream.NewPipe(l, 0, nil); return err },
		"iostream.NewStdio":  func() error { _, err := iostream.NewStdio(l, nil); return err },
		"process.Start": func() error {
			_, err := process.Start(l, exec.Command("true"), process.Stdin, nil)
			return err
		},
		"Server.Adopt": func() error {
			listener, err := net.Listen("tcp", "127.0.0.1:0") // js has a fake one
			require.NoError(t, err)
			defer listener.Close()
			_, err = new(tcp.Server).Adopt(listener.(*net.TCPListener))
			return err
		},
		"Server.Listen":      func() error { _, err := new(tcp.Server).Listen("tcp", "127.0.0.1:0"); return err },
		"Server.Listen unix": func() error { _, err := new(tcp.Server).Listen("unix", "s"); return err },
		"Server.Serve":       func() error { return (&tcp.Server{Handler: handler}).Serve(context.Background()) },
		"Server.ListenAndServe": func() error {
			return (&tcp.Server{Handler: handler}).ListenAndServe(context.Background(), "tcp", "127.0.0.1:0")
		},
		"Dial":      func() error { _, err := tcp.Dial(context.Background(), l, "tcp", "127.0.0.1:1"); return err },
		"Dial unix": func() error { _, err := tcp.Dial(context.Background(), l, "unix", "s"); return err },
	} {
		t.Run(name, func(t *testing.T) {
			require.ErrorIs(t, construct(), errors.ErrUnsupported)
		})
	}
}
