package main

import (
	"crypto/tls"
	"io"
	"net"
	"net/smtp"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/eddyloop/eddy/examples/internal/trial"
)

// start returns the address of a server, what it is given, and the file of its certificate.
func start(t *testing.T) (address string, mails chan mail, certFile string) {
	cert, _, certFile, _ := trial.Certificate(t)
	mails = make(chan mail, 10)
	r := &receiver{tlsConfig: &tls.Config{Certificates: []tls.Certificate{cert}}, deliver: func(m mail) { mails <- m }}
	return trial.Serve(t, newServer(r)), mails, certFile
}

func TestSwaks(t *testing.T) {
	address, mails, _ := start(t)
	out := trial.Ask(t, "", "swaks", "--server", address, "--to", "you@example.org,they@example.org", "--from", "me@example.org",
		"--body", "hello\n.with a dot", "--helo", "client", "--tls")
	require.Contains(t, out, "TLS started")
	m := <-mails
	require.Equal(t, "<me@example.org>", m.from)
	require.Equal(t, []string{"<you@example.org>", "<they@example.org>"}, m.to)
	require.True(t, m.tls)
	require.Contains(t, m.text, "\r\n\r\nhello\r\n.with a dot\r\n")

	out = trial.Ask(t, "", "swaks", "--server", address, "--to", "you@example.org", "--from", "me@example.org", "--helo", "client", "--pipeline")
	require.Contains(t, out, "221 bye")
	require.False(t, (<-mails).tls)
}

func TestOpenSSL(t *testing.T) {
	address, mails, certFile := start(t)
	out := trial.Ask(t, "EHLO client\r\nMAIL FROM:<me@example.org>\r\nRCPT TO:<you@example.org>\r\nDATA\r\nhi\r\n.\r\nQUIT\r\n",
		"openssl", "s_client", "-starttls", "smtp", "-connect", address, "-CAfile", certFile, "-verify_return_error", "-quiet", "-ign_eof")
	require.Contains(t, out, "221 bye")
	require.Equal(t, "hi\r\n", (<-mails).text)
}

func TestGoClient(t *testing.T) {
	address, mails, _ := start(t)
	c, err := smtp.Dial(address)
	require.NoError(t, err)
	defer c.Close()
	require.NoError(t, c.StartTLS(&tls.Config{InsecureSkipVerify: true}))
	require.NoError(t, c.Mail("me@example.org"))
	require.NoError(t, c.Rcpt("you@example.org"))
	w, err := c.Data()
	require.NoError(t, err)
	_, err = io.WriteString(w, strings.Repeat(strings.Repeat("x", 100)+"\r\n", 11<<10))
	require.NoError(t, err)
	require.ErrorContains(t, w.Close(), "too much mail data")
	require.NoError(t, c.Noop(), "it goes on")
	require.Empty(t, mails)
}

// What is sent in plaintext behind STARTTLS must not be taken for what the client said
// encrypted.
func TestInjectedCommandsAreRefused(t *testing.T) {
	address, mails, _ := start(t)
	conn := trial.Dial(t, address)
	_, err := io.WriteString(conn, "EHLO client\r\nSTARTTLS\r\nMAIL FROM:<evil@example.org>\r\n")
	require.NoError(t, err)
	trial.Expect(t, conn, "220 go ahead\r\n")
	rest, err := io.ReadAll(conn)
	if err != nil {
		require.ErrorContains(t, err, "reset")
	}
	require.Empty(t, rest)
	require.Empty(t, mails)
}

func TestSequence(t *testing.T) {
	address, _, _ := start(t)
	conn := trial.Dial(t, address)
	for _, step := range [][2]string{
		{"MAIL FROM:<a@b>", "503"}, {"EHLO client", "STARTTLS"}, {"RCPT TO:<a@b>", "503"}, {"MAIL FROM:a", "501"}, {"MAIL", "501"},
		{"MAIL FROM:<> SIZE=5", "250"}, {"DATA", "503"}, {"RCPT TO:<a@b>", "250"}, {"RSET", "250"}, {"DATA", "503"},
		{"VRFY a", "502"}, {"QUIT", "221"},
	} {
		_, err := io.WriteString(conn, step[0]+"\r\n")
		require.NoError(t, err)
		trial.Expect(t, conn, step[1])
		trial.Expect(t, conn, "\r\n")
	}
	_, err := conn.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF)
}

func TestLongLinesEnd(t *testing.T) {
	address, _, _ := start(t)
	conn, err := net.Dial("tcp", address)
	require.NoError(t, err)
	defer conn.Close()
	trial.Expect(t, conn, "220 localhost ready\r\n")
	_, err = conn.Write(make([]byte, 10*maxLine))
	require.NoError(t, err)
	_, err = conn.Read(make([]byte, 1))
	require.Error(t, err)
}

func TestMain(m *testing.M) {
	_ = os.Setenv("HOME", filepath.Join(os.TempDir(), "none")) // swaks reads a file of the user's
	os.Exit(m.Run())
}
