// Package trial is what the tests of the examples share: servers that run, programs that
// are asked, certificates.
package trial

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/eddyloop/eddy/internal/closedport"
	"github.com/eddyloop/eddy/tcp"
)

// Patience is how long anything may take.
const Patience = time.Minute

// Serve runs the server on a free port until the test ends, and returns its address.
func Serve(t testing.TB, srv *tcp.Server) string {
	addr, err := srv.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	Run(t, srv)
	return addr.String()
}

// Run runs a server that listens already until the test ends.
func Run(t testing.TB, srv *tcp.Server) {
	served := make(chan error, 1)
	go func() { served <- srv.Serve(context.Background()) }()
	t.Cleanup(func() {
		_ = srv.Close()
		require.ErrorIs(t, <-served, tcp.ErrServerClosed)
	})
}

// Program returns where a program is. A test whose program is not installed is skipped.
func Program(t testing.TB, name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	for _, dir := range append(filepath.SplitList(os.Getenv("PATH")), "/usr/sbin", "/sbin") {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path
		}
	}
	t.Skipf("%s is not installed", name)
	return ""
}

// Ask runs a client with some input and returns what it prints.
func Ask(t testing.TB, input, name string, args ...string) string {
	ctx, cancel := context.WithTimeout(t.Context(), Patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, Program(t, name), args...)
	cmd.Stdin = strings.NewReader(input)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return string(out)
}

// Background runs a program until the test ends, and shows what it printed if it fails.
func Background(t testing.TB, name string, args ...string) *exec.Cmd {
	ctx, cancel := context.WithCancel(context.Background())
	cmd := Command(ctx, Program(t, name), args...)
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) } // also ends what it has started
	cmd.WaitDelay = 5 * time.Second
	require.NoError(t, cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		cancel()
		<-ended
		if t.Failed() {
			t.Logf("%s: %s", name, out.String())
		}
	})
	return cmd
}

// asProgram is set in the environment of a test binary that is to be the program it tests.
const asProgram = "EXAMPLE_AS_PROGRAM"

// Main is for a TestMain whose tests start the program that they test with Command or
// Background: the test binary is both, so that nothing is built once more.
func Main(m *testing.M, program func()) {
	if os.Getenv(asProgram) != "" {
		program()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// Self is the program that is tested. See Main.
func Self(t testing.TB) string {
	path, err := os.Executable()
	require.NoError(t, err)
	return path
}

// Command is a program, or Self, that has yet to be started.
func Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	return cmd
}

// Free returns an address that nobody listens on.
func Free(t testing.TB) string { return closedport.Free(t) }

// Dial connects as soon as somebody listens.
func Dial(t testing.TB, address string) net.Conn {
	var conn net.Conn
	Eventually(t, func() bool {
		var err error
		conn, err = net.Dial("tcp", address)
		return err == nil
	})
	t.Cleanup(func() { _ = conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(Patience)))
	return conn
}

// Expect reads until text has come, and returns everything up to there.
func Expect(t testing.TB, r io.Reader, text string) string {
	var got strings.Builder
	b := make([]byte, 1)
	for !strings.HasSuffix(got.String(), text) {
		_, err := io.ReadFull(r, b)
		require.NoError(t, err, "%q instead of %q", got.String(), text)
		got.Write(b)
	}
	return got.String()
}

// Eventually waits until ok.
func Eventually(t testing.TB, ok func() bool) {
	for begin := time.Now(); !ok(); time.Sleep(5 * time.Millisecond) {
		require.Less(t, time.Since(begin), Patience)
	}
}

// Certificate makes a certificate for 127.0.0.1, and writes it and its key to files.
func Certificate(t testing.TB) (cert tls.Certificate, roots *x509.CertPool, certFile, keyFile string) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})
	cert, err = tls.X509KeyPair(certPEM, keyPEM)
	require.NoError(t, err)
	roots = x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM(certPEM))
	certFile, keyFile = filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	require.NoError(t, os.WriteFile(certFile, certPEM, 0o600))
	require.NoError(t, os.WriteFile(keyFile, keyPEM, 0o600))
	return cert, roots, certFile, keyFile
}
