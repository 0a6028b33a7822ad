//go:build unix || windows

package tcp_test

import (
	"net"
	"strings"
	"testing"

	"github.com/eddyloop/eddy/tcp"
	"github.com/stretchr/testify/require"
)

// The bytes are those that the protocol's description has for it, which the reader's
// table holds.
func TestProxyHeaderAppend(t *testing.T) {
	written := 0
	for _, test := range proxyHeaders {
		if test.want == nil {
			continue
		}
		header, err := test.want.Append([]byte("before"))
		require.NoError(t, err, test.name)
		switch test.name { // of what is said in several ways, the shortest is written
		case "1", "1 IPv6", "1 unknown", "2", "2 IPv6", "2 Unix", "2 unspecified", "2 unspecified, fields", "2 fields":
			require.Equal(t, "before"+test.header, string(header), test.name)
			written++
		}
		requireSaidAgain(t, test.want)
	}
	require.Equal(t, 9, written)
	local := &tcp.ProxyHeader{Version: 2, Local: true}
	header, err := local.Append(nil)
	require.NoError(t, err)
	require.Equal(t, version2(0x20, 0, ""), string(header))
}

func TestProxyHeaderAppendChecksum(t *testing.T) {
	h := &tcp.ProxyHeader{Version: 2, Source: tcpAddr("1.2.3.4", 80), Destination: tcpAddr("5.6.7.8", 443),
		Fields: []tcp.ProxyField{{Type: 3}, {Type: 4, Value: []byte("x")}}}
	header, err := h.Append(nil)
	require.NoError(t, err)
	require.Equal(t, checksummed(version2(0x21, 0x11, fourAddrs+sum+"\x04\x00\x01x")), string(header))
}

// Addresses as package net has them.
func TestProxyHeaderAppendAddresses(t *testing.T) {
	for _, test := range []struct{ source, destination, want string }{
		{"::ffff:1.2.3.4", "5.6.7.8", "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n"},
		{"1.2.3.4", "::1", "PROXY TCP6 ::ffff:1.2.3.4 ::1 1 2\r\n"},
		{"::1", "1.2.3.4", "PROXY TCP6 ::1 ::ffff:1.2.3.4 1 2\r\n"},
	} {
		h := &tcp.ProxyHeader{Version: 1, Source: tcpAddr(test.source, 1), Destination: tcpAddr(test.destination, 2)}
		header, err := h.Append(nil)
		require.NoError(t, err)
		require.Equal(t, test.want, string(header))
		requireSaidAgain(t, h)
		h.Version = 2
		requireSaidAgain(t, h)
	}
	zoned := &net.TCPAddr{IP: net.ParseIP("fe80::1"), Port: 1, Zone: "eth0"}
	header, err := (&tcp.ProxyHeader{Version: 1, Source: zoned, Destination: zoned}).Append(nil)
	require.NoError(t, err)
	require.Equal(t, "PROXY TCP6 fe80::1 fe80::1 1 1\r\n", string(header))
	unnamed := &net.UnixAddr{Name: "@", Net: "unix"}
	header, err = (&tcp.ProxyHeader{Version: 2, Source: unnamed, Destination: &net.UnixAddr{}}).Append(nil)
	require.NoError(t, err)
	require.Equal(t, version2(0x21, 0x31, strings.Repeat("\x00", 216)), string(header))
}

func TestProxyHeaderAppendRefuses(t *testing.T) {
	four, path := tcpAddr("1.2.3.4", 80), &net.UnixAddr{Name: "/a", Net: "unix"}
	unix := func(a *net.UnixAddr) *tcp.ProxyHeader {
		return &tcp.ProxyHeader{Version: 2, Source: path, Destination: a}
	}
	connection := func(source, destination net.Addr) *tcp.ProxyHeader {
		return &tcp.ProxyHeader{Version: 2, Source: source, Destination: destination}
	}
	for name, h := range map[string]*tcp.ProxyHeader{
		"no version":       {Source: four, Destination: four},
		"version 3":        {Version: 3},
		"1 local":          {Version: 1, Local: true},
		"1 fields":         {Version: 1, Fields: []tcp.ProxyField{{Type: 4}}},
		"1 Unix":           {Version: 1, Source: path, Destination: path},
		"1 one alone":      {Version: 1, Source: four},
		"2 one alone":      connection(nil, four),
		"2 local with":     {Version: 2, Local: true, Source: four, Destination: four},
		"2 of two kinds":   connection(four, path),
		"2 datagrams":      connection(&net.UDPAddr{IP: net.IPv4zero}, &net.UDPAddr{IP: net.IPv4zero}),
		"2 nil":            connection((*net.TCPAddr)(nil), four),
		"2 no IP":          connection(&net.TCPAddr{Port: 1}, four),
		"2 bad IP":         connection(&net.TCPAddr{IP: net.IP{1, 2, 3}}, four),
		"2 bad port":       connection(four, tcpAddr("1.2.3.4", 65536)),
		"2 negative port":  connection(four, tcpAddr("1.2.3.4", -1)),
		"2 nil Unix":       unix(nil),
		"2 Unix datagrams": unix(&net.UnixAddr{Name: "/a", Net: "unixgram"}),
		"2 long path":      unix(&net.UnixAddr{Name: strings.Repeat("x", 109)}),
		"2 path with zero": unix(&net.UnixAddr{Name: "/a\x00"}),
		"2 two checksums":  {Version: 2, Fields: []tcp.ProxyField{{Type: 3}, {Type: 3}}},
		"2 long":           {Version: 2, Fields: []tcp.ProxyField{{Type: 4, Value: make([]byte, 4094)}}},
	} {
		t.Run(name, func(t *testing.T) {
			b := append(make([]byte, 0, 300), "before"...)
			got, err := h.Append(b)
			require.ErrorIs(t, err, tcp.ErrInvalid)
			require.Equal(t, "before", string(got))
		})
	}
	longest := &tcp.ProxyHeader{Version: 2, Fields: []tcp.ProxyField{{Type: 4, Value: make([]byte, 4093)}}}
	requireSaidAgain(t, longest)
	path.Name = strings.Repeat("x", 108)
	requireSaidAgain(t, unix(path))
}

// FuzzProxyHeaderAppend: what is appended says the header, or the error is ErrInvalid.
func FuzzProxyHeaderAppend(f *testing.F) {
	f.Add(1, byte(0), []byte{1, 2, 3, 4}, []byte{5, 6, 7, 8}, 80, []byte(nil))
	f.Add(2, byte(0), []byte(net.ParseIP("::1")), []byte{5, 6, 7, 8}, 80, []byte("x"))
	f.Add(2, byte(1), []byte("/a"), []byte("@b"), 0, []byte(nil))
	f.Add(2, byte(2), []byte(nil), []byte(nil), 3, []byte("name"))
	f.Fuzz(func(t *testing.T, version int, kind byte, source, destination []byte, number int, value []byte) {
		h := &tcp.ProxyHeader{Version: version, Local: kind&4 != 0}
		switch kind & 3 {
		case 0:
			h.Source, h.Destination = &net.TCPAddr{IP: source, Port: number}, &net.TCPAddr{IP: destination, Port: 443}
		case 1:
			h.Source, h.Destination = &net.UnixAddr{Name: string(source), Net: "unix"}, &net.UnixAddr{Name: string(destination), Net: "unix"}
		}
		if value != nil {
			h.Fields = []tcp.ProxyField{{Type: byte(number), Value: value}}
		}
		if _, err := h.Append(nil); err != nil {
			require.ErrorIs(t, err, tcp.ErrInvalid)
			return
		}
		requireSaidAgain(t, h)
	})
}

// requireSaidAgain appends a header and reads it.
func requireSaidAgain(t *testing.T, h *tcp.ProxyHeader) {
	t.Helper()
	header, err := h.Append(nil)
	require.NoError(t, err)
	again, left, err := playProxy(t, header, 0)
	require.NoError(t, err, "%q", header)
	require.Zero(t, left)
	require.Equal(t, saying(h), saying(again))
}

// saying is what a header says: an unnamed socket has two names, and so has an abstract
// one, and a checksum is of the bytes.
func saying(h *tcp.ProxyHeader) []any {
	all := asText(&tcp.ProxyHeader{Version: h.Version, Local: h.Local, Source: named(h.Source), Destination: named(h.Destination)})
	for _, field := range h.Fields {
		if field.Type == 3 {
			field.Value = nil
		}
		all = append(all, field.Type, string(field.Value))
	}
	return all
}

func named(a net.Addr) net.Addr {
	unix, ok := a.(*net.UnixAddr)
	if !ok {
		return a
	}
	name := unix.Name
	if strings.HasPrefix(name, "\x00") {
		name = "@" + name[1:]
	}
	if name == "@" {
		name = ""
	}
	return &net.UnixAddr{Name: name, Net: "unix"}
}
