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
