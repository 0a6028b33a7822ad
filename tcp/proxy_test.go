//go:build unix || windows

package tcp_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/iostreamtest"
	"github.com/eddyloop/eddy/tcp"
	"github.com/stretchr/testify/require"
)

const signature = "\r\n\r\n\x00\r\nQUIT\n"

// version2 returns a header with a length that fits.
func version2(command, family byte, rest string) string {
	head := append([]byte(signature), command, family)
	return string(binary.BigEndian.AppendUint16(head, uint16(len(rest)))) + rest
}

func checksummed(header string) string {
	b := []byte(header)
	sum := crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli))
	return string(bytes.Replace(b, []byte("\x03\x00\x04\x00\x00\x00\x00"), binary.BigEndian.AppendUint32([]byte("\x03\x00\x04"), sum), 1))
}

func tcpAddr(ip string, port int) net.Addr {
	return &net.TCPAddr{IP: net.ParseIP(ip), Port: port}
}

const (
	fourAddrs = "\x01\x02\x03\x04\x05\x06\x07\x08\x00\x50\x01\xbb"
	sum       = "\x03\x00\x04\x00\x00\x00\x00"
)

var (
	sixAddrs  = strings.Repeat("\x00", 15) + "\x01" + strings.Repeat("\x00", 15) + "\x02\xff\xff\x00\x01"
	unixAddrs = "/a" + strings.Repeat("\x00", 106) + "\x00b" + strings.Repeat("\x00", 106)
)

// proxyHeaders are headers and what they say; those without want are bad.
var proxyHeaders = []struct {
	name, header string
	want         *tcp.ProxyHeader
}{
	{"1", "PROXY TCP4 1.2.3.4 5.6.7.8 80 443\r\n",
		&tcp.ProxyHeader{Version: 1, Source: tcpAddr("1.2.3.4", 80), Destination: tcpAddr("5.6.7.8", 443)}},
	{"1 IPv6", "PROXY TCP6 ::1 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 0\r\n",
		&tcp.ProxyHeader{Version: 1, Source: tcpAddr("::1", 65535), Destination: tcpAddr("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 0)}},
	{"1 unknown", "PROXY UNKNOWN\r\n", &tcp.ProxyHeader{Version: 1}},
	{"1 unknown, longest", "PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
		&tcp.ProxyHeader{Version: 1}},
	{"2", version2(0x21, 0x11, fourAddrs),
		&tcp.ProxyHeader{Version: 2, Source: tcpAddr("1.2.3.4", 80), Destination: tcpAddr("5.6.7.8", 443)}},
	{"2 IPv6", version2(0x21, 0x21, sixAddrs),
		&tcp.ProxyHeader{Version: 2, Source: tcpAddr("::1", 65535), Destination: tcpAddr("::2", 1)}},
	{"2 Unix", version2(0x21, 0x31, unixAddrs), &tcp.ProxyHeader{Version: 2,
		Source: &net.UnixAddr{Name: "/a", Net: "unix"}, Destination: &net.UnixAddr{Name: "@b", Net: "unix"}}},
	{"2 unspecified", version2(0x21, 0, ""), &tcp.ProxyHeader{Version: 2}},
	{"2 local", version2(0x20, 0x11, fourAddrs), &tcp.ProxyHeader{Version: 2, Local: true}},
	{"2 local, UDP", version2(0x20, 0x12, fourAddrs), &tcp.ProxyHeader{Version: 2, Local: true}},
	{"2 local, no such family", version2(0x20, 0xff, "abc"), &tcp.ProxyHeader{Version: 2, Local: true}},
	{"2 local, no fields", version2(0x20, 0, "ab"), &tcp.ProxyHeader{Version: 2, Local: true}},
	{"2 local, short", version2(0x20, 0x11, "ab"), &tcp.ProxyHeader{Version: 2, Local: true}},
	{"2 unspecified, opaque", version2(0x21, 0, "\x7f\xff\xff"), &tcp.ProxyHeader{Version: 2}},
	{"2 UDP", version2(0x21, 0x12, fourAddrs), &tcp.ProxyHeader{Version: 2}},
	{"2 UDP, IPv6, fields", version2(0x21, 0x22, sixAddrs+"\x04\x00\x01x"), &tcp.ProxyHeader{Version: 2,
		Fields: []tcp.ProxyField{{Type: 4, Value: []byte("x")}}}},
	{"2 Unix datagrams", version2(0x21, 0x32, unixAddrs), &tcp.ProxyHeader{Version: 2}},
	{"2 UDP, opaque", version2(0x21, 0x12, "ab"), &tcp.ProxyHeader{Version: 2}},
	{"2 unspecified, fields", version2(0x21, 0, "\x04\x00\x01x"), &tcp.ProxyHeader{Version: 2,
		Fields: []tcp.ProxyField{{Type: 4, Value: []byte("x")}}}},
	{"2 fields", version2(0x21, 0x11, fourAddrs+"\x02\x00\x03abc\x04\x00\x00"), &tcp.ProxyHeader{Version: 2,
		Source: tcpAddr("1.2.3.4", 80), Destination: tcpAddr("5.6.7.8", 443),
		Fields: []tcp.ProxyField{{Type: 2, Value: []byte("abc")}, {Type: 4, Value: []byte{}}}}},

	{"nothing", "", nil},
	{"something else", "GET / HTTP/1.1\r\n\r\n", nil},
	{"cut off", "PROXY TCP4 1.2.3.4 5.", nil},
	{"lower case", "proxy TCP4 1.2.3.4 5.6.7.8 80 443\r\n", nil},
	{"1 line feed alone", "PROXY TCP4 1.2.3.4 5.6.7.8 80 443\n", nil},
	{"1 another protocol", "PROXY UDP4 1.2.3.4 5.6.7.8 80 443\r\n", nil},
	{"1 two spaces", "PROXY TCP4  1.2.3.4 5.6.7.8 80 443\r\n", nil},
	{"1 too few", "PROXY TCP4 1.2.3.4 5.6.7.8 80\r\n", nil},
	{"1 too many", "PROXY TCP4 1.2.3.4 5.6.7.8 80 443 1\r\n", nil},
	{"1 wrong family", "PROXY TCP4 ::1 ::2 80 443\r\n", nil},
	{"1 mapped", "PROXY TCP4 ::ffff:1.2.3.4 5.6.7.8 80 443\r\n", nil},
	{"1 zone", "PROXY TCP6 fe80::1%eth0 ::2 80 443\r\n", nil},
	{"1 leading zero", "PROXY TCP4 1.2.3.4 5.6.7.8 080 443\r\n", nil},
	{"1 signed port", "PROXY TCP4 1.2.3.4 5.6.7.8 +80 443\r\n", nil},
	{"1 large port", "PROXY TCP4 1.2.3.4 5.6.7.8 80 65536\r\n", nil},
	{"1 too long", "PROXY UNKNOWN " + strings.Repeat("x", 92) + "\r\n", nil},
	{"2 version 3", version2(0x31, 0x11, fourAddrs), nil},
	{"2 another command", version2(0x22, 0x11, fourAddrs), nil},
	{"2 no such family", version2(0x21, 0x41, fourAddrs), nil},
	{"2 no such protocol", version2(0x21, 0x13, fourAddrs), nil},
	{"2 IPv4 without a protocol", version2(0x21, 0x10, fourAddrs), nil},
	{"2 too short", version2(0x21, 0x11, fourAddrs[:11]), nil},
	{"2 cut off", version2(0x21, 0x11, fourAddrs)[:20], nil},
	{"2 too long", version2(0x21, 0, "\x04\x10\x00"+strings.Repeat("\x00", 4096)), nil},
	{"2 field cut off", version2(0x21, 0x11, fourAddrs+"\x02\x00\x03ab"), nil},
	{"2 field without length", version2(0x21, 0x11, fourAddrs+"\x02\x00"), nil},
	{"2 wrong checksum", version2(0x21, 0x11, fourAddrs+sum), nil},
	{"2 short checksum", version2(0x21, 0x11, fourAddrs+"\x03\x00\x01\x00"), nil},
}

// A header is read to its end and not a byte further, however it arrives.
func TestReadProxyHeader(t *testing.T) {
	l := newLoop(t)
	for _, test := range proxyHeaders {
		t.Run(test.name, func(t *testing.T) {
			for _, step := range []int{1, 7, 10_000} {
				header, rest, err := readProxy(t, l, test.header+"rest", step, test.want != nil)
				if test.want == nil {
					require.ErrorIs(t, err, tcp.ErrProxyHeader)
					require.Nil(t, header)
					continue
				}
				require.NoError(t, err)
				require.Equal(t, "rest", rest)
				require.Equal(t, asText(test.want), asText(header))
				require.Equal(t, test.want.Fields, header.Fields)
			}
		})
	}
	t.Run("2 checksum", func(t *testing.T) {
		good := checksummed(version2(0x21, 0x11, fourAddrs+sum))
		header, _, err := readProxy(t, l, good+"rest", 10_000, true)
		require.NoError(t, err)
		require.Equal(t, good[len(good)-4:], string(header.Fields[0].Value))
		_, _, err = readProxy(t, l, strings.Replace(good, "\x01\x02", "\x01\x03", 1)+"rest", 10_000, false)
		require.ErrorIs(t, err, tcp.ErrProxyHeader)
	})
}

func asText(h *tcp.ProxyHeader) []any {
	text := func(a net.Addr) string {
		if a == nil {
			return ""
		}
		return a.Network() + " " + a.String()
	}
	return []any{h.Version, h.Local, text(h.Source), text(h.Destination)}
}

// readProxy has a stream with a tiny ReadLimit read a header that arrives in
// pieces. A bad one ends where its four-byte rest begins.
func readProxy(t *testing.T, l *ioloop.Loop, input string, step int, good bool) (*tcp.ProxyHeader, string, error) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	d := &tcp.Dialer{Stream: iostream.Config{ReadLimit: 5}}
	s, err := d.Dial(ctx, l, "tcp", listener.Addr().String())
	require.NoError(t, err)
	defer s.Close()
	peer, err := listener.Accept()
	require.NoError(t, err)
	defer peer.Close()
	if !good {
		input = strings.TrimSuffix(input, "rest")
	}
	go func() {
		defer peer.(*net.TCPConn).CloseWrite()
		for rest := input; rest != ""; {
			n := min(step, len(rest))
			if _, err := io.WriteString(peer, rest[:n]); err != nil {
				return
			}
			rest = rest[n:]
		}
	}()
	header, err := tcp.ReadProxyHeader(ctx, s)
	if err != nil {
		return header, "", err
	}
	rest, err := s.Read(ctx, iostream.Bytes(4))
	require.NoError(t, err)
	return header, string(rest), nil
}

// everybody trusts all peers to be proxies.
func everybody(net.Addr) bool { return true }

// Who does not say whom to trust is told what to write.
func TestProxyTrustedIsRequired(t *testing.T) {
	srv := &tcp.Server{Handler: lines, ProxyProtocol: new(tcp.ProxyProtocol), Logger: quiet()}
	err := srv.Serve(context.Background())
	require.ErrorIs(t, err, tcp.ErrInvalid)
	require.ErrorContains(t, err, "ProxyProtocol.Trusted")
}

// countingTransport counts the reads of a connection whose bytes are all there.
type countingTransport struct {
	iostream.Transport
	reads int
}

func (c *countingTransport) Read(p []byte) (int, error) {
	c.reads++
	return c.Transport.Read(p)
}

// A header that has come whole takes one read.
func TestProxyHeaderTakesOneRead(t *testing.T) {
	for name, header := range map[string]string{
		"1": "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
		"2": version2(0x21, 0x21, sixAddrs),
	} {
		t.Run(name, func(t *testing.T) {
			w := iostreamtest.NewWorld()
			defer w.Close()
			wire := iostreamtest.NewWire(iostreamtest.Options{})
			wire.Arrive([]byte(header + "rest"))
			transport := &countingTransport{Transport: wire.Transport()}
			s, err := iostream.New(w.Loop, transport, nil)
			require.NoError(t, err)
			var h *tcp.ProxyHeader
			require.NoError(t, w.Loop.Go(func(task *ioloop.Task) { h, err = tcp.ReadProxyHeader(task, s) }))
			require.NoError(t, w.Settle())
			require.NoError(t, err)
			require.NotNil(t, h)
			require.Equal(t, 4, s.Buffered())
			require.Equal(t, 1, transport.reads)
		})
	}
}

// whoami answers a line with the address of the client.
func whoami(s *iostream.Stream) {
	_ = s.ReadFunc(iostream.Until("\n"), func(_ []byte, err error) {
		if err == nil {
			_, _ = s.Write([]byte(s.RemoteAddr().String() + "\n"))
			_ = s.Close()
		}
	})
}

func TestProxyProtocol(t *testing.T) {
	refused := make(chan error, 10)
	seen := make(chan *tcp.ProxyHeader, 10)
	forbidden := errors.New("forbidden")
	proxy := &tcp.ProxyProtocol{Trusted: everybody, Header: func(_ *iostream.Stream, h *tcp.ProxyHeader) error {
		seen <- h
		if h.Source != nil && h.Source.String() == "6.6.6.6:6" {
			return forbidden
		}
		return nil
	}}
	hooks := tcp.Hooks{Refused: func(_ net.Addr, err error) { refused <- err }}
	for name, srv := range map[string]*tcp.Server{
		"callback": {ProxyProtocol: proxy, Hooks: hooks, Callback: whoami},
		"task": {ProxyProtocol: proxy, Hooks: hooks, Handler: func(t *ioloop.Task, s *iostream.Stream) error {
			_, err := s.Read(t, iostream.Until("\n"))
			if err == nil {
				_, err = s.Write([]byte(s.RemoteAddr().String() + "\n"))
			}
			return err
		}},
	} {
		t.Run(name, func(t *testing.T) {
			addr, _ := local(t, srv)
			for _, test := range []struct{ header, from string }{
				{"PROXY TCP4 1.2.3.4 5.6.7.8 80 443\r\n", "1.2.3.4:80"},
				{version2(0x21, 0x21, sixAddrs), "[::1]:65535"},
				{"PROXY UNKNOWN\r\n", ""},
				{version2(0x20, 0, ""), ""},
			} {
				c := dial(t, addr)
				if test.from == "" {
					test.from = c.LocalAddr().String()
				}
				c.send(test.header + "hello\n")
				c.expect(test.from + "\n")
				c.expectEOF()
				c.Close()
				require.NotNil(t, receive(t, seen))
			}
			require.Empty(t, refused)
			c := dial(t, addr)
			c.send("hello, I know nothing of a header\n")
			c.expectEnd()
			require.ErrorIs(t, receive(t, refused), tcp.ErrProxyHeader)
			c = dial(t, addr)
			c.send("PROXY TCP4 6.6.6.6 5.6.7.8 6 443\r\n")
			c.expectEnd()
			require.ErrorIs(t, receive(t, refused), forbidden)
			receive(t, seen)
			eventually(t, func() bool { return srv.Stats() == tcp.Stats{Accepted: 6, Refused: 2} })
		})
	}
}

// A header of somebody who is not trusted is data.
func TestProxyUntrusted(t *testing.T) {
	srv := &tcp.Server{Callback: lineCallback, ProxyProtocol: &tcp.ProxyProtocol{
		Trusted: func(peer net.Addr) bool { return !peer.(*net.TCPAddr).IP.IsLoopback() },
	}}
	addr, _ := local(t, srv)
	dial(t, addr).echo("PROXY TCP4 1.2.3.4 5.6.7.8 80 443\r\n")
}

// A client that does not send its header is not waited for.
func TestProxyTimeout(t *testing.T) {
	for timeout, enough := range map[time.Duration]time.Duration{0: tcp.DefaultProxyTimeout, time.Hour: time.Hour} {
		clock := new(ioloop.ManualClock)
		group := newGroup(t, 1, ioloop.Config{Clock: clock})
		asked, refused := make(chan error, 1), make(chan error, 1)
		trusted := func(net.Addr) bool { asked <- nil; return true }
		srv := &tcp.Server{Group: group, Handler: lines, ProxyProtocol: &tcp.ProxyProtocol{Trusted: trusted, Timeout: timeout},
			Hooks: tcp.Hooks{Refused: func(_ net.Addr, err error) { refused <- err }}}
		addr, _ := local(t, srv)
		c := dial(t, addr)
		c.send("PROXY TCP4 1.2.3.4 5")
		require.NoError(t, receive(t, asked))
		on(t, group.Loops()[0], func() {}) // the task waits, and its clock runs
		clock.Advance(enough - 1)
		on(t, group.Loops()[0], func() {})
		require.Empty(t, refused)
		clock.Advance(1)
		require.ErrorIs(t, receive(t, refused), context.DeadlineExceeded)
		c.expectEnd()
	}
}

// Shutdown does not wait for those that have not got as far as a header.
func TestProxyShutdown(t *testing.T) {
	srv := &tcp.Server{Callback: lineCallback, ProxyProtocol: &tcp.ProxyProtocol{Trusted: everybody, Timeout: time.Hour}}
	addr, _ := local(t, srv)
	c := dial(t, addr)
	eventually(t, func() bool { return srv.Stats().Conns == 1 })
	_, err := srv.Shutdown(context.Background())
	require.NoError(t, err)
	c.expectEnd()
}
