package iostream

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Little is received into the loop's buffer. Behind much there is room to receive into, for
// what a peer announces once a sixteenth of it is here.
func TestRoomToReceiveInto(t *testing.T) {
	const much, none = 64 << 10, -1
	for name, test := range map[string]struct {
		op         readOp
		have, room int
		want       int
	}{
		"nothing":                   {readOp{kind: readUntil, size: 1 << 20}, 0, 0, none},
		"little":                    {readOp{kind: readUntil, size: 1 << 20}, 1000, largeRoom - 1, none},
		"little, and much room":     {readOp{kind: readUntil, size: 1 << 20}, 1000, largeRoom, largeRoom},
		"much":                      {readOp{kind: readUntil, size: 1 << 20}, much, 0, much},
		"nearly much":               {readOp{kind: readUntil, size: 1 << 20}, much - 1, 0, none},
		"a sixteenth":               {readOp{kind: readBytes, size: 16 * much}, much, 0, 15 * much},
		"less than a sixteenth":     {readOp{kind: readBytes, size: 16 * (much + 1)}, much, 0, much},
		"a sixteenth, to be peeked": {readOp{kind: readPeek, size: 16 * much}, much, 0, 15 * much},
		"the caller's buffer":       {readOp{kind: readInto, into: &target{p: make([]byte, 10), filled: 3}}, 0, 0, 7},
	} {
		s := &Stream{config: defaultConfig, op: test.op}
		if test.have > 0 {
			s.in.data = make([]byte, test.have, test.have+test.room)
		}
		room := s.readRoom()
		if test.want == none {
			require.Nil(t, room, name)
		} else {
			require.Equal(t, test.want, len(room), name) // not Len, which prints them all
		}
	}
}

// A read of no bytes takes none off the transport, and is not behind what it takes.
func TestNoBytesAreThere(t *testing.T) {
	require.True(t, (&Stream{op: readOp{kind: readBytes}, config: defaultConfig}).satisfied())
}
