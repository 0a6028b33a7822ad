package tcp

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/eddyloop/eddy/internal/streamhook"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
)

// DefaultProxyTimeout is what a ProxyProtocol.Timeout of 0 stands for.
const DefaultProxyTimeout = 5 * time.Second

// ErrProxyHeader is the reason of a connection that does not begin with a valid
// PROXY header.
var ErrProxyHeader = errors.New("tcp: bad PROXY header")

// ProxyProtocol has a Server expect a header of the PROXY protocol, version 1
// or 2, at the start of each connection. In it a proxy such as HAProxy, nginx
// or a load balancer says who the client is; Stream.RemoteAddr then returns the
// client's address. A connection without a valid header is closed and counted
// as refused. The behaviour follows HAProxy's description of the protocol
// (proxy-protocol.txt).
//
// A header of version 1 may have 107 bytes, as the description says, and one of
// version 2 16 + 4,096, more than any proxy sends. A connection that the proxy
// makes for itself (LOCAL), or whose client it does not name (UNKNOWN, UNSPEC
// and the datagram families), is served with the proxy's own address. Other
// versions, commands and families are invalid.
//
// Any client can send such a header, so trust only peers that are proxies.
type ProxyProtocol struct {
	// Trusted reports whether a peer is a proxy. Connections of other peers are
	// served as they are, without a header. It is called on a loop and must be
	// set. If only proxies can connect, return true.
	Trusted func(peer net.Addr) bool

	// Timeout is how long a header may take to arrive. 0 is DefaultProxyTimeout
	// (5 s).
	Timeout time.Duration

	// Header, if set, is called on the loop with each header. An error closes
	// the connection.
	Header func(s *iostream.Stream, h *ProxyHeader) error
}

func (p *ProxyProtocol) check() error {
	switch {
	case p == nil:
		return nil
	case p.Trusted == nil:
		return fmt.Errorf("%w: ProxyProtocol.Trusted must say which peers are proxies; "+
			"if only proxies can connect, set func(net.Addr) bool { return true }", ErrInvalid)
	case p.Timeout < 0:
		return fmt.Errorf("%w: negative ProxyProtocol.Timeout", ErrInvalid)
	}
	return nil
}

func (p *ProxyProtocol) timeout() time.Duration {
	if p.Timeout == 0 {
		return DefaultProxyTimeout
	}
	return p.Timeout
}

// introduce reads the PROXY header of a connection that has to have one.
func (c *conn) introduce(t *ioloop.Task) error {
	p := c.srv.ProxyProtocol
	if !p.Trusted(c.stream.RemoteAddr()) {
		return nil
	}
	limited, cancel := t.WithTimeout(p.timeout())
	defer cancel()
	c.silent = true
	h, err := ReadProxyHeader(limited, c.stream)
	c.silent = err != nil && c.stream.Buffered() == 0
	if c.silent && c.stream.Err() != nil && c.srv.ending() {
		return err // it was not the client that failed
	}
	if err == nil && h.Source != nil {
		streamhook.SetRemoteAddr(c.stream, h.Source)
	}
	if err == nil && p.Header != nil {
		err = p.Header(c.stream, h)
	}
	if err != nil {
		c.srv.mu.Lock()
		c.srv.stats.Refused++
		c.srv.mu.Unlock()
		c.srv.refused(c.stream.LocalAddr(), err)
	}
	return err
}

// ProxyHeader is what a PROXY header says about a connection. Append writes one,
// ReadProxyHeader and a Server with ProxyProtocol read one.
type ProxyHeader struct {
	// Version is 1 or 2.
	Version int

	// Local is set if the proxy has made the connection for itself, for
	// instance as a health check (version 2).
	Local bool

	// Source is the client's address and Destination the address that it has
	// connected to, *net.TCPAddr or *net.UnixAddr. They are nil if the proxy
	// does not say.
	Source, Destination net.Addr

	// Fields are further facts (version 2), for instance the host name that the
	// client has asked for. The protocol's description lists their types. If
	// the header names no client (Local, or an unspecified family), the block
	// may hold anything, and what cannot be read as fields is left out.
	Fields []ProxyField
}

// ProxyField is a type-length-value field of a PROXY header of version 2.
type ProxyField struct {
	Type  byte
	Value []byte
}

const (
	proxySignature   = "\r\n\r\n\x00\r\nQUIT\n"
	proxyShortest    = len("PROXY UNKNOWN\r\n") // of version 1; version 2 has 16 bytes at least
	proxyLongestLine = 107                      // version 1, by its description
	proxyLongest     = 4 << 10                  // version 2 without its first 16 bytes; ours
	proxyChecksum    = 3                        // type of the field with the CRC-32c
)

// ReadProxyHeader reads a PROXY header and nothing after it, for programs that
// do not use Server.ProxyProtocol. An invalid header is ErrProxyHeader; other
// errors are those of Stream.ReadAtLeast. Config.ReadLimit does not count.
func ReadProxyHeader(ctx context.Context, s *iostream.Stream) (*ProxyHeader, error) {
	buf := make([]byte, proxyShortest, proxyLongestLine)
	if err := readProxy(ctx, s, buf); err != nil {
		return nil, err
	}
	switch {
	case string(buf[:len(proxySignature)]) == proxySignature:
		return readProxy2(ctx, s, buf)
	case strings.HasPrefix(string(buf), "PROXY "):
		return readProxy1(ctx, s, buf)
	}
	return nil, fmt.Errorf("%w: neither version's beginning", ErrProxyHeader)
}

// readProxy fills p. The Peek receives all that has come, of which ReadAtLeast alone
// would take no more than it needs: a header then takes one system call.
func readProxy(ctx context.Context, s *iostream.Stream, p []byte) error {
	if len(p) == 0 {
		return nil // nothing need come: the server may speak first
	}
	_, err := s.Read(ctx, iostream.Peek(1))
	if err == nil {
		_, err = s.ReadAtLeast(ctx, p, len(p))
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: %w", ErrProxyHeader, io.ErrUnexpectedEOF)
	}
	return err
}

// readProxy1 takes the rest of the line byte by byte, so as not to go beyond it.
// They are buffered, as many as have come.
func readProxy1(ctx context.Context, s *iostream.Stream, line []byte) (*ProxyHeader, error) {
	for line[len(line)-1] != '\n' {
		n := len(line)
		if n == proxyLongestLine {
			return nil, fmt.Errorf("%w: line is too long", ErrProxyHeader)
		}
		line = line[:n+1]
		if err := readProxy(ctx, s, line[n:]); err != nil {
			return nil, err
		}
	}
	return parseProxy1(string(line))
}

func parseProxy1(line string) (*ProxyHeader, error) {
	text, ok := strings.CutSuffix(line, "\r\n")
	fields := strings.Split(text, " ")
	h := &ProxyHeader{Version: 1}
	if ok && fields[1] == "UNKNOWN" {
		return h, nil
	}
	if !ok || len(fields) != 6 || fields[1] != "TCP4" && fields[1] != "TCP6" {
		return nil, fmt.Errorf("%w: %q", ErrProxyHeader, line)
	}
	source, ok1 := proxyAddr(fields[1], fields[2], fields[4])
	destination, ok2 := proxyAddr(fields[1], fields[3], fields[5])
	if !ok1 || !ok2 {
		return nil, fmt.Errorf("%w: %q", ErrProxyHeader, line)
	}
	h.Source, h.Destination = source, destination
	return h, nil
}

func proxyAddr(family, host, service string) (net.Addr, bool) {
	ip, err := netip.ParseAddr(host)
	if err != nil || ip.Zone() != "" || ip.Is4() != (family == "TCP4") {
		return nil, false
	}
	port, err := strconv.ParseUint(service, 10, 16)
	if err != nil || strconv.FormatUint(port, 10) != service {
		return nil, false
	}
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(ip, uint16(port))), true
}

func readProxy2(ctx context.Context, s *iostream.Stream, buf []byte) (*ProxyHeader, error) {
	head := buf[:len(proxySignature)+4]
	if err := readProxy(ctx, s, head[len(head)-1:]); err != nil {
		return nil, err
	}
	size := int(binary.BigEndian.Uint16(head[len(head)-2:]))
	if size > proxyLongest {
		return nil, fmt.Errorf("%w: of %d bytes", ErrProxyHeader, size)
	}
	header := append(make([]byte, 0, len(head)+size), head...)[:len(head)+size]
	if err := readProxy(ctx, s, header[len(head):]); err != nil {
		return nil, err
	}
	return parseProxy2(header)
}

// Values of the command and family bytes of version 2.
const (
	proxyLocal    = 0x20
	proxyProxied  = 0x21
	proxyUnspec   = 0x00
	proxyTCP4     = 0x11
	proxyTCP6     = 0x21
	proxyUnix     = 0x31
	proxyUDP4     = 0x12
	proxyUDP6     = 0x22
	proxyUnixgram = 0x32
)

// namesNoClient reports whether a block of that family says nothing of a client: it is
// unspecified, or datagrams', which fall back to that as the description has it ("for
// the valid combinations above that it does not support").
func namesNoClient(family byte) bool {
	return family&0xf0 == proxyUnspec || family == proxyUDP4 || family == proxyUDP6 || family == proxyUnixgram
}

func parseProxy2(header []byte) (*ProxyHeader, error) {
	command, family := header[12], header[13]
	h := &ProxyHeader{Version: 2, Local: command == proxyLocal}
	if !h.Local && command != proxyProxied {
		return nil, fmt.Errorf("%w: version and command %#02x", ErrProxyHeader, command)
	}
	source, destination, rest, ok := proxyAddrs(family, header[16:])
	if h.Local || namesNoClient(family) { // whatever the block holds
		if ok {
			h.Fields, _ = proxyFields(header, rest)
		}
		return h, nil
	}
	if !ok {
		return nil, fmt.Errorf("%w: family %#02x, %d bytes", ErrProxyHeader, family, len(header)-16)
	}
	h.Source, h.Destination = source, destination
	var err error
	if h.Fields, err = proxyFields(header, rest); err != nil {
		return nil, err
	}
	return h, nil
}

// proxyAddrs takes the addresses off b and returns what is behind them.
func proxyAddrs(family byte, b []byte) (source, destination net.Addr, rest []byte, ok bool) {
	size := map[byte]int{proxyUnspec: 0, proxyTCP4: 12, proxyUDP4: 12, proxyTCP6: 36, proxyUDP6: 36, proxyUnix: 216, proxyUnixgram: 216}
	n, known := size[family]
	if !known || len(b) < n {
		return nil, nil, nil, false
	}
	a, rest := b[:n], b[n:]
	switch family {
	case proxyTCP4, proxyTCP6:
		half := (n - 4) / 2
		return tcpAddr(a[:half], a[2*half:]), tcpAddr(a[half:2*half], a[2*half+2:]), rest, true
	case proxyUnix:
		return unixAddr(a[:n/2]), unixAddr(a[n/2:]), rest, true
	}
	return nil, nil, rest, true
}

func tcpAddr(ip, port []byte) net.Addr {
	return &net.TCPAddr{IP: append(net.IP(nil), ip...), Port: int(binary.BigEndian.Uint16(port))}
}

func unixAddr(b []byte) net.Addr {
	name := strings.TrimRight(string(b), "\x00")
	if strings.HasPrefix(name, "\x00") { // an abstract one
		name = "@" + name[1:]
	}
	return &net.UnixAddr{Name: name, Net: "unix"}
}

// proxyFields parses rest, the end of header.
func proxyFields(header, rest []byte) ([]ProxyField, error) {
	var fields []ProxyField
	for len(rest) > 0 {
		if len(rest) < 3 {
			return nil, fmt.Errorf("%w: field is cut off", ErrProxyHeader)
		}
		kind, size := rest[0], int(binary.BigEndian.Uint16(rest[1:]))
		if rest = rest[3:]; len(rest) < size {
			return nil, fmt.Errorf("%w: field is cut off", ErrProxyHeader)
		}
		value := rest[:size:size]
		if kind == proxyChecksum && !checksumHolds(header, value) {
			return nil, fmt.Errorf("%w: wrong checksum", ErrProxyHeader)
		}
		fields = append(fields, ProxyField{Type: kind, Value: value})
		rest = rest[size:]
	}
	return fields, nil
}

// checksumHolds reports whether value, part of header, is the CRC-32c of header
// with value itself zero.
func checksumHolds(header, value []byte) bool {
	if len(value) != 4 {
		return false
	}
	want := binary.BigEndian.Uint32(value)
	clear(value)
	got := crc32.Checksum(header, crc32.MakeTable(crc32.Castagnoli))
	binary.BigEndian.PutUint32(value, want)
	return got == want
}
