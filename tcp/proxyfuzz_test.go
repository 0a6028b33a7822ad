//go:build unix || windows

package tcp_test

import (
	"bytes"
	"encoding/binary"
	"net"
	"strings"
	"testing"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/iostreamtest"
	"github.com/eddyloop/eddy/tcp"
	"github.com/stretchr/testify/require"
)

// FuzzReadProxyHeader reads what anybody may have sent, at once and in pieces:
// the outcome is the same, an error is ErrProxyHeader, and a header is what its
// own length says, with nothing taken behind it, and says what it was read from.
func FuzzReadProxyHeader(f *testing.F) {
	for _, h := range proxyHeaders {
		f.Add([]byte(h.header), byte(1))
		f.Add([]byte(h.header+"rest"), byte(7))
	}
	f.Add([]byte(checksummed(version2(0x21, 0x11, fourAddrs+sum))), byte(3))
	f.Fuzz(func(t *testing.T, input []byte, step byte) {
		header, left, err := playProxy(t, input, 0)
		again, leftAgain, errAgain := playProxy(t, input, int(step))
		require.Equal(t, header, again)
		require.Equal(t, left, leftAgain)
		if err != nil {
			require.ErrorIs(t, err, tcp.ErrProxyHeader)
			require.ErrorIs(t, errAgain, tcp.ErrProxyHeader)
			require.Nil(t, header)
			return
		}
		require.NoError(t, errAgain)
		requireProxied(t, header, input[:len(input)-left])
		requireSaidAgain(t, header)
	})
}

// playProxy has a header read from a simulation, and returns how many bytes are
// left for the next read.
func playProxy(t *testing.T, input []byte, step int) (header *tcp.ProxyHeader, left int, err error) {
	world := iostreamtest.NewWorld()
	defer world.Close()
	wire := iostreamtest.NewWire(iostreamtest.Options{ReadSize: step})
	s, e := iostream.New(world.Loop, wire.Transport(), nil)
	require.NoError(t, e)
	wire.Arrive(input)
	wire.FIN()
	ended := false
	require.NoError(t, world.Loop.Go(func(task *ioloop.Task) {
		header, err = tcp.ReadProxyHeader(task, s)
		ended = true
	}))
	require.NoError(t, world.Settle())
	require.True(t, ended, "it waits for more than there is")
	return header, s.Buffered() + wire.State().Arrived, err
}

// requireProxied looks at a header that was taken from b in another way than the
// parser does.
func requireProxied(t *testing.T, h *tcp.ProxyHeader, b []byte) {
	if h.Version == 1 {
		require.LessOrEqual(t, len(b), 107)
		require.Equal(t, len(b)-2, bytes.Index(b, []byte("\r\n")))
		fields := strings.Fields(string(b))
		if fields[1] == "UNKNOWN" {
			require.Nil(t, h.Source)
			require.Nil(t, h.Destination)
			return
		}
		for i, a := range []net.Addr{h.Source, h.Destination} {
			require.True(t, net.ParseIP(fields[2+i]).Equal(a.(*net.TCPAddr).IP))
			_, port, _ := net.SplitHostPort(a.String())
			require.Equal(t, fields[4+i], port)
		}
		return
	}
	require.Equal(t, 2, h.Version)
	require.True(t, bytes.HasPrefix(b, []byte(signature)))
	require.Equal(t, 16+int(binary.BigEndian.Uint16(b[14:])), len(b))
	addresses := map[byte]int{0x00: 0, 0x11: 12, 0x12: 12, 0x21: 36, 0x22: 36, 0x31: 216, 0x32: 216}[b[13]]
	opaque := h.Local || b[13]>>4 == 0 || b[13]&0x0f == 2
	require.Equal(t, !opaque, h.Source != nil)
	require.Equal(t, !opaque, h.Destination != nil)
	if opaque && h.Fields == nil {
		return
	}
	if source, ok := h.Source.(*net.TCPAddr); ok {
		half := (addresses - 4) / 2
		require.Equal(t, b[16:16+half], []byte(source.IP))
		require.Equal(t, b[16+half:16+2*half], []byte(h.Destination.(*net.TCPAddr).IP))
		require.Equal(t, b[16+2*half:16+addresses], binary.BigEndian.AppendUint16(
			binary.BigEndian.AppendUint16(nil, uint16(source.Port)), uint16(h.Destination.(*net.TCPAddr).Port)))
	}
	rest := b[16+addresses:]
	for _, field := range h.Fields {
		require.Equal(t, append([]byte{field.Type, byte(len(field.Value) >> 8), byte(len(field.Value))}, field.Value...), rest[:3+len(field.Value)])
		rest = rest[3+len(field.Value):]
	}
	require.Empty(t, rest)
}
