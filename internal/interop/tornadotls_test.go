package interop_test

import (
	"bufio"
	"bytes"
	"context"
	_ "embed"
	"errors"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/tcp"
	"github.com/stretchr/testify/require"
)

var (
	//go:embed testdata/tlsclient.py
	tlsClientScript string
	//go:embed testdata/tlsserver.py
	tlsServerScript string
)

// A Tornado client talks to our server over TLS, from the first on and after an
// upgrade.
func TestTornadoTLSClient(t *testing.T) {
	id := newIdentity(t)
	for mode, srv := range map[string]*tcp.Server{
		"tls": {TLS: id.server(), Callback: callbackLines},
		"starttls": {Handler: func(task *ioloop.Task, s *iostream.Stream) error {
			for {
				line, err := s.Read(task, iostream.Until("\n"))
				if err != nil {
					return err
				}
				if string(line) != "STARTTLS\n" {
					_, _ = s.Write(line)
					continue
				}
				_, _ = io.WriteString(s, "go ahead\n")
				if err := s.StartTLS(task, iostream.TLSServer(id.server())); err != nil {
					return err
				}
				return serveLines(task, s)
			}
		}},
	} {
		t.Run(mode, func(t *testing.T) {
			cmd := python(t, tlsClientScript, serveTLS(t, srv), id.certFile, mode)
			out, err := cmd.CombinedOutput()
			require.NoError(t, err, string(out))
			require.Equal(t, "done\n", string(out))
		})
	}
}

// Our client talks to a Tornado server, which ends without close_notify.
func TestTornadoTLSServer(t *testing.T) {
	for _, mode := range []string{"tls", "starttls"} {
		t.Run(mode, func(t *testing.T) {
			id := newIdentity(t)
			cmd := python(t, tlsServerScript, id.certFile, id.keyFile, mode)
			in, err := cmd.StdinPipe()
			require.NoError(t, err)
			out, err := cmd.StdoutPipe()
			require.NoError(t, err)
			var trouble bytes.Buffer
			cmd.Stderr = &trouble
			require.NoError(t, cmd.Start())
			port, err := bufio.NewReader(out).ReadString('\n')
			require.NoError(t, err)
			done := make(chan error, 1)
			l := runLoop(t)
			require.NoError(t, l.Go(func(task *ioloop.Task) {
				limited, cancel := task.WithTimeout(patience)
				defer cancel()
				done <- converseTLS(limited, l, net.JoinHostPort("127.0.0.1", strings.TrimSpace(port)), id, mode)
			}))
			require.NoError(t, <-done)
			require.NoError(t, in.Close())
			require.NoError(t, cmd.Wait(), trouble.String())
			require.Empty(t, trouble.String())
		})
	}
}

func converseTLS(ctx context.Context, l *ioloop.Loop, address string, id *identity, mode string) error {
	dialer := &tcp.Dialer{}
	if mode == "tls" {
		dialer.TLS = id.client()
	}
	s, err := dialer.Dial(ctx, l, "tcp", address)
	if err != nil {
		return err
	}
	defer s.Close()
	c := &conversation{ctx: ctx, s: s}
	if mode == "starttls" {
		c.send("STARTTLS\n")
		c.check("go ahead\n")(s.Read(ctx, iostream.Until("\n")))
		if err := s.StartTLS(ctx, iostream.TLSClient(id.client())); err != nil {
			return err
		}
	}
	c.send("one\ntwo\nthr")
	c.check("one\n")(s.Read(ctx, iostream.Until("\n")))
	c.check("two\n")(s.Read(ctx, iostream.Until("\n")))
	c.send("ee\n")
	c.check("three\n")(s.Read(ctx, iostream.Until("\n")))
	million := strings.Repeat("0123456789", 100_000)
	c.send("bytes\n" + million)
	c.check(million)(s.Read(ctx, iostream.Bytes(len(million))))
	c.send("beginning\ndrop\n")
	rest, err := s.Read(ctx, iostream.UntilClose())
	if string(rest) != "beginning\n" || !errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.Join(c.err, errors.New("truncation not told"), err)
	}
	return c.err
}
