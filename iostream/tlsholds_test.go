package iostream

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// A Budget counts the buffers of TLS that have something in them, and a record in pieces.
func TestWhatTLSHolds(t *testing.T) {
	const record = 16 << 10
	in, out := make([]byte, 10, 100), make([]byte, 10, 1000)
	for _, c := range []struct {
		name string
		t    tlsTransport
		want int
	}{
		{"nothing", tlsTransport{rxBuffer: in}, 0},
		{"input", tlsTransport{rxBuffer: in, rx: in[9:]}, 100 + record},
		{"output", tlsTransport{tx: out, txDone: 9}, 1000},
		{"output that is out", tlsTransport{tx: out, txDone: 10}, 0},
		{"plaintext", tlsTransport{held: true}, record},
	} {
		c.t.ready = true
		require.Equal(t, c.want, c.t.holds(), c.name)
	}
}

// What is taken at once ends with a record at the latest, however little room there is.
func TestTakeOfRecords(t *testing.T) {
	src := []byte{22, 3, 3, 0, 2, 'a', 'b', 23, 3, 3, 1, 0}
	src = append(append(src, make([]byte, 256)...), 23, 3, 3, 0, 0, 21)
	for room := 2; room < 300; room++ {
		var f recordFrame
		var ends []int
		for at := 0; at < len(src); {
			n := f.take(make([]byte, room), src[at:])
			require.Positive(t, n)
			if at += n; n < room || f == (recordFrame{}) {
				ends = append(ends, at)
			}
		}
		require.Equal(t, []int{7, 7 + 5 + 256, len(src) - 1, len(src)}, ends, room)
	}
}
