package iostream

import "encoding/binary"

// prefix is the shape of a length prefix: its size in bytes, 0 for a varint, and
// flags.
type prefix uint8

const (
	prefixSize   prefix = 15
	littleEndian prefix = 1 << 4
	keepHeader   prefix = 1 << 5
	countsHeader prefix = 1 << 6
)

// orderProbe is read by an order that says whether it is little-endian.
var orderProbe = []byte{1, 0}

func newPrefix(size int, order binary.ByteOrder) prefix {
	p := prefix(size)
	switch {
	case size == 1:
		return p
	case size < 1 || size > 8 || order == nil:
		return prefixSize // which is invalid
	}
	if order.Uint16(orderProbe) == 1 {
		p |= littleEndian
	}
	return p
}

// valid reports whether there is such a prefix.
func (p prefix) valid() bool {
	switch p & prefixSize {
	case 0:
		return p&(littleEndian|countsHeader) == 0
	case 1, 2, 3, 4, 8:
		return true
	}
	return false
}

// decode reads the header at the beginning of b: its size, which is 0 as long as
// it is not complete, and the number in it.
func (p prefix) decode(b []byte) (size int, n uint64, err error) {
	width := int(p & prefixSize)
	if width == 0 {
		if n, size = binary.Uvarint(b); size < 0 {
			return 0, 0, ErrTooLong
		}
		return size, n, nil
	}
	if len(b) < width {
		return 0, 0, nil
	}
	for i := range width {
		if p&littleEndian != 0 {
			n |= uint64(b[i]) << (8 * i)
		} else {
			n = n<<8 | uint64(b[i])
		}
	}
	return width, n, nil
}

// match looks whether b begins with a whole message of at most limit bytes.
func (p prefix) match(b []byte, limit int) (int, error) {
	header, n, err := p.decode(b)
	if header == 0 {
		return -1, err
	}
	kept := 0
	if p&keepHeader != 0 {
		kept = header
	}
	if p&countsHeader != 0 {
		if n < uint64(header) {
			return -1, ErrMalformed
		}
		n -= uint64(header)
	}
	switch {
	case n > uint64(limit) || int(n) > limit-kept:
		return -1, ErrTooLong
	case len(b) < header+int(n):
		return -1, nil
	}
	return header + int(n), nil
}

// strip returns the message in data, which match has found.
func (p prefix) strip(data []byte) []byte {
	if p&keepHeader != 0 {
		return data
	}
	header, _, _ := p.decode(data)
	return data[header:]
}
