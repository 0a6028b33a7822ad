package tcp

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// Append appends the header to b as it is sent, for a proxy that says first on a
// connection of its own who the client is:
//
//	h := tcp.ProxyHeader{Version: 2, Source: client.RemoteAddr(), Destination: client.LocalAddr()}
//	header, err := h.Append(nil)
//
// Without addresses it names no client (UNKNOWN, UNSPEC). Version 1 says TCP alone, and
// neither Local nor Fields. IPv4 addresses in the form of IPv6 are IPv4's if both are,
// and zones are left out, which mean something on one host alone. A field of type 3 gets
// its value, the checksum of the header.
//
// What cannot be said so is ErrInvalid: another version; addresses of two kinds, of
// datagrams, with a bad IP or port, or one alone; addresses with Local; a Unix path of
// more than 108 bytes or one that ends in a zero byte; more than one checksum; and more
// than a Server takes.
func (h *ProxyHeader) Append(b []byte) ([]byte, error) {
	appendTo := h.append1
	switch {
	case h.Version == 2:
		appendTo = h.append2
	case h.Version != 1:
		return b, errUnsayable("version %d", h.Version)
	}
	header, err := appendTo(b)
	if err != nil {
		return b, err
	}
	return header, nil
}

func errUnsayable(format string, args ...any) error {
	return fmt.Errorf("%w: a PROXY header cannot say %s", ErrInvalid, fmt.Sprintf(format, args...))
}

// namesNobody reports whether no client is named.
func (h *ProxyHeader) namesNobody() bool { return h.Source == nil && h.Destination == nil }

func (h *ProxyHeader) append1(b []byte) ([]byte, error) {
	if h.Local || len(h.Fields) > 0 {
		return nil, errUnsayable("Local or Fields in version 1")
	}
	if h.namesNobody() {
		return append(b, "PROXY UNKNOWN\r\n"...), nil
	}
	source, destination, err := proxyPair(h.Source, h.Destination)
	if err != nil {
		return nil, err
	}
	family := "PROXY TCP6 "
	if source.Addr().Is4() {
		family = "PROXY TCP4 "
	}
	b = source.Addr().AppendTo(append(b, family...))
	b = destination.Addr().AppendTo(append(b, ' '))
	b = strconv.AppendUint(append(b, ' '), uint64(source.Port()), 10)
	b = strconv.AppendUint(append(b, ' '), uint64(destination.Port()), 10)
	return append(b, "\r\n"...), nil
}

// proxyPair returns the addresses of a TCP connection, of the same family.
func proxyPair(source, destination net.Addr) (s, d netip.AddrPort, err error) {
	s, ok1 := proxyAddrPort(source)
	d, ok2 := proxyAddrPort(destination)
	if !ok1 || !ok2 {
		return s, d, errUnsayable("a connection from %v to %v", source, destination)
	}
	if from, to := s.Addr().Unmap(), d.Addr().Unmap(); from.Is4() && to.Is4() {
		return netip.AddrPortFrom(from, s.Port()), netip.AddrPortFrom(to, d.Port()), nil
	}
	return netip.AddrPortFrom(netip.AddrFrom16(s.Addr().As16()), s.Port()),
		netip.AddrPortFrom(netip.AddrFrom16(d.Addr().As16()), d.Port()), nil
}

func proxyAddrPort(a net.Addr) (netip.AddrPort, bool) {
	tcp, ok := a.(*net.TCPAddr)
	if !ok || tcp == nil || tcp.Port < 0 || tcp.Port > 0xffff {
		return netip.AddrPort{}, false
	}
	addr := tcp.AddrPort()
	return addr, addr.IsValid()
}

func (h *ProxyHeader) append2(b []byte) ([]byte, error) {
	family, block, err := h.addresses()
	if err != nil {
		return nil, err
	}
	command := byte(proxyProxied)
	if h.Local {
		command = proxyLocal
	}
	checksum := 0 // where it is in block
	for _, f := range h.Fields {
		value := f.Value
		if f.Type == proxyChecksum {
			if checksum > 0 {
				return nil, errUnsayable("two checksums")
			}
			checksum, value = len(block)+3, make([]byte, 4)
		}
		if len(block)+3+len(value) > proxyLongest {
			return nil, errUnsayable("more than %d bytes", proxyLongest)
		}
		block = binary.BigEndian.AppendUint16(append(block, f.Type), uint16(len(value)))
		block = append(block, value...)
	}
	start := len(b)
	b = append(append(b, proxySignature...), command, family)
	b = append(binary.BigEndian.AppendUint16(b, uint16(len(block))), block...)
	if header := b[start:]; checksum > 0 {
		sum := crc32.Checksum(header, crc32.MakeTable(crc32.Castagnoli))
		binary.BigEndian.PutUint32(header[len(header)-len(block)+checksum:], sum)
	}
	return b, nil
}

// addresses returns what version 2 says of the addresses.
func (h *ProxyHeader) addresses() (family byte, block []byte, err error) {
	from, ok := h.Source.(*net.UnixAddr)
	to, ok2 := h.Destination.(*net.UnixAddr)
	switch {
	case h.namesNobody():
		return proxyUnspec, nil, nil
	case h.Local:
		return 0, nil, errUnsayable("addresses with Local")
	case ok && ok2:
		block, err = appendUnix(nil, from)
		if err == nil {
			block, err = appendUnix(block, to)
		}
		return proxyUnix, block, err
	}
	source, destination, err := proxyPair(h.Source, h.Destination)
	if err != nil {
		return 0, nil, err
	}
	family = proxyTCP6
	if source.Addr().Is4() {
		family = proxyTCP4
	}
	block = append(source.Addr().AsSlice(), destination.Addr().AsSlice()...)
	block = binary.BigEndian.AppendUint16(block, source.Port())
	return family, binary.BigEndian.AppendUint16(block, destination.Port()), nil
}

// appendUnix appends a path, or an abstract name, filled up with zero bytes.
func appendUnix(b []byte, a *net.UnixAddr) ([]byte, error) {
	const size = 108
	if a == nil || a.Net != "" && a.Net != "unix" || len(a.Name) > size || strings.HasSuffix(a.Name, "\x00") {
		return nil, errUnsayable("the Unix address %v", a)
	}
	name := make([]byte, size)
	copy(name, a.Name)
	if name[0] == '@' {
		name[0] = 0
	}
	return append(b, name...), nil
}
