package interop_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/eddyloop/eddy/internal/leaktest"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/tcp"
	"github.com/stretchr/testify/require"
)

// identity is a certificate for localhost that signs itself, also in files.
type identity struct {
	cert     tls.Certificate
	pool     *x509.CertPool
	certFile string
	keyFile  string
}

func newIdentity(t *testing.T) *identity {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	leaf, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	dir := t.TempDir()
	id := &identity{
		cert: tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf},
		pool: x509.NewCertPool(), certFile: filepath.Join(dir, "cert"), keyFile: filepath.Join(dir, "key"),
	}
	id.pool.AddCert(leaf)
	write := func(file, kind string, der []byte) {
		require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
	}
	write(id.certFile, "CERTIFICATE", der)
	write(id.keyFile, "PRIVATE KEY", private)
	return id
}

func (id *identity) server() *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{id.cert}, NextProtos: []string{"lines"}}
}

func (id *identity) client() *tls.Config {
	return &tls.Config{RootCAs: id.pool, ServerName: "localhost"}
}

// program is a process that the test talks to through its standard streams.
type program struct {
	t     *testing.T
	cmd   *exec.Cmd
	in    io.WriteCloser
	lines chan string
}

func openssl(t *testing.T, args ...string) *program {
	t.Helper()
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("no openssl here")
	}
	leaktest.Check(t)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	p := &program{t: t, cmd: exec.CommandContext(ctx, "openssl", args...), lines: make(chan string, 1000)}
	var err error
	p.in, err = p.cmd.StdinPipe()
	require.NoError(t, err)
	out, err := p.cmd.StdoutPipe()
	require.NoError(t, err)
	p.cmd.Stderr = p.cmd.Stdout
	require.NoError(t, p.cmd.Start())
	go func() {
		defer close(p.lines)
		for reader := bufio.NewReader(out); ; {
			line, err := reader.ReadString('\n')
			if err != nil && line == "" {
				return
			}
			p.lines <- strings.TrimSuffix(line, "\n")
		}
	}()
	t.Cleanup(func() {
		cancel()
		_ = p.in.Close()
		for range p.lines {
		}
		_ = p.cmd.Wait()
	})
	return p
}

func (p *program) send(text string) {
	p.t.Helper()
	_, err := io.WriteString(p.in, text)
	require.NoError(p.t, err)
}

// await returns the next line that contains text.
func (p *program) await(text string) string {
	p.t.Helper()
	var seen []string
	for line := range p.lines {
		if seen = append(seen, line); strings.Contains(line, text) {
			return line
		}
	}
	require.FailNow(p.t, "did not come", "%q in %q", text, seen)
	return ""
}

// ended waits for the end of the program and returns what it has still said.
func (p *program) ended() string {
	var rest []string
	for line := range p.lines {
		rest = append(rest, line)
	}
	return strings.Join(rest, "\n")
}

func serveTLS(t *testing.T, srv *tcp.Server) (port string) {
	t.Helper()
	_, port, err := net.SplitHostPort(serve(t, srv, "tcp", "127.0.0.1:0").String())
	require.NoError(t, err)
	return port
}

// serve runs a server for the time of the test.
func serve(t *testing.T, srv *tcp.Server, network, address string) net.Addr {
	t.Helper()
	leaktest.Check(t)
	addr, err := srv.Listen(network, address)
	require.NoError(t, err)
	served := make(chan error, 1)
	go func() { served <- srv.Serve(context.Background()) }()
	t.Cleanup(func() {
		_ = srv.Close()
		require.ErrorIs(t, <-served, tcp.ErrServerClosed)
	})
	return addr
}

var versions = []struct {
	flag    string
	version uint16
}{{"-tls1_2", tls.VersionTLS12}, {"-tls1_3", tls.VersionTLS13}}

// openssl s_client talks to our server, and resumes the session.
func TestOpenSSLClient(t *testing.T) {
	for _, v := range versions {
		t.Run(v.flag, func(t *testing.T) {
			id := newIdentity(t)
			states := make(chan tls.ConnectionState, 2)
			port := serveTLS(t, &tcp.Server{TLS: id.server(), Handler: func(task *ioloop.Task, s *iostream.Stream) error {
				state, _ := s.ConnectionState()
				states <- state
				return serveLines(task, s)
			}})
			session := filepath.Join(t.TempDir(), "session")
			for i, option := range []string{"-sess_out", "-sess_in"} {
				p := openssl(t, "s_client", "-connect", "127.0.0.1:"+port, v.flag, "-CAfile", id.certFile, "-servername", "localhost",
					"-verify_return_error", "-alpn", "lines", "-ign_eof", option, session)
				p.send("hello\n")
				p.await("hello") // behind the session's ticket
				state := <-states
				require.Equal(t, v.version, state.Version)
				require.Equal(t, "lines", state.NegotiatedProtocol)
				require.Equal(t, "localhost", state.ServerName)
				require.Equal(t, i == 1, state.DidResume)
				p.send("flood\n")
				rest := p.ended()
				require.True(t, strings.Contains(rest, string(flood)))
				require.Contains(t, rest, "closed", "close_notify")
			}
		})
	}
}

// K and k have s_client change its keys, and ask for ours to be changed.
func TestOpenSSLClientUpdatesKeys(t *testing.T) {
	id := newIdentity(t)
	port := serveTLS(t, &tcp.Server{TLS: id.server(), Callback: callbackLines})
	p := openssl(t, "s_client", "-connect", "127.0.0.1:"+port, "-tls1_3", "-CAfile", id.certFile)
	for i := range 5 {
		p.send(fmt.Sprintln("line", i))
		p.await(fmt.Sprint("line ", i))
		p.send("K\n")
		p.await("KEYUPDATE")
		p.send(fmt.Sprintln("between", i))
		p.await(fmt.Sprint("between ", i))
		p.send("k\n")
		p.await("KEYUPDATE")
	}
	p.send("last\n")
	p.await("last")
}

// Our client talks to openssl s_server, which reverses lines, and resumes.
func TestOpenSSLServer(t *testing.T) {
	for _, v := range versions {
		t.Run(v.flag, func(t *testing.T) {
			id := newIdentity(t)
			p := openssl(t, "s_server", "-accept", "127.0.0.1:0", v.flag, "-cert", id.certFile, "-key", id.keyFile, "-rev", "-alpn", "lines")
			line := p.await("ACCEPT 127.0.0.1:")
			address := strings.TrimPrefix(line, "ACCEPT ")
			l := runLoop(t)
			config := id.client()
			config.NextProtos = []string{"lines"}
			config.ClientSessionCache = tls.NewLRUClientSessionCache(1)
			for i := range 2 {
				ctx, cancel := context.WithTimeout(context.Background(), patience)
				defer cancel()
				s, err := (&tcp.Dialer{TLS: config}).Dial(ctx, l, "tcp", address)
				require.NoError(t, err)
				_, _ = io.WriteString(s, "olleh\n")
				got, err := s.Read(ctx, iostream.Until("\n"))
				require.NoError(t, err)
				require.Equal(t, "hello\n", string(got))
				state, _ := s.ConnectionState()
				require.Equal(t, v.version, state.Version)
				require.Equal(t, "lines", state.NegotiatedProtocol)
				require.Equal(t, i == 1, state.DidResume)
				_, _ = io.WriteString(s, "CLOSE\n")
				rest, err := s.Read(ctx, iostream.UntilClose())
				require.NoError(t, err, "s_server sends close_notify")
				require.Empty(t, rest)
				require.NoError(t, s.Close()) // s_server has one client at a time
			}
		})
	}
}

// K and k have s_server change its keys, and ask for ours to be changed.
func TestOpenSSLServerUpdatesKeys(t *testing.T) {
	id := newIdentity(t)
	p := openssl(t, "s_server", "-accept", "127.0.0.1:0", "-tls1_3", "-cert", id.certFile, "-key", id.keyFile)
	address := strings.TrimPrefix(p.await("ACCEPT 127.0.0.1:"), "ACCEPT ")
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s, err := (&tcp.Dialer{TLS: id.client()}).Dial(ctx, runLoop(t), "tcp", address)
	require.NoError(t, err)
	for i := range 5 {
		for _, command := range []string{"K\n", "k\n"} {
			p.send(command)
			for range 2 { // when the second is there it has read the command, alone
				_, _ = fmt.Fprintln(s, "line", i)
				p.await(fmt.Sprint("line ", i))
			}
			p.send("answer\n")
			got, err := s.Read(ctx, iostream.Until("\n"))
			require.NoError(t, err)
			require.Equal(t, "answer\n", string(got))
		}
	}
	require.NoError(t, s.Close())
}

// R has either side ask for another handshake, which TLS 1.2 has and crypto/tls
// refuses: the stream ends with that as its reason, and does not hang.
func TestOpenSSLRenegotiates(t *testing.T) {
	id := newIdentity(t)
	t.Run("client", func(t *testing.T) {
		reasons := make(chan error, 1)
		port := serveTLS(t, &tcp.Server{TLS: id.server(), Callback: callbackLines, Stream: iostream.Config{
			OnClosed: func(_ *iostream.Stream, err error) { reasons <- err },
		}})
		p := openssl(t, "s_client", "-connect", "127.0.0.1:"+port, "-tls1_2", "-CAfile", id.certFile)
		p.send("hello\n")
		p.await("hello")
		p.send("R\n")
		p.await("RENEGOTIATING")
		require.ErrorContains(t, <-reasons, "unexpected handshake message")
		p.ended()
	})
	t.Run("server", func(t *testing.T) {
		p := openssl(t, "s_server", "-accept", "127.0.0.1:0", "-tls1_2", "-cert", id.certFile, "-key", id.keyFile)
		address := strings.TrimPrefix(p.await("ACCEPT 127.0.0.1:"), "ACCEPT ")
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		s, err := (&tcp.Dialer{TLS: id.client()}).Dial(ctx, runLoop(t), "tcp", address)
		require.NoError(t, err)
		_, _ = io.WriteString(s, "hello\n")
		p.await("hello")
		p.send("R\n")
		_, err = s.Read(ctx, iostream.Until("\n"))
		require.ErrorContains(t, err, "no renegotiation")
		require.NoError(t, s.WaitClosed(ctx))
	})
}

func runLoop(t *testing.T) *ioloop.Loop {
	t.Helper()
	l, err := ioloop.New(ioloop.Config{})
	require.NoError(t, err)
	ran := make(chan error, 1)
	go func() { ran <- l.Run(context.Background()) }()
	t.Cleanup(func() {
		require.NoError(t, l.Close())
		require.NoError(t, <-ran)
	})
	return l
}
