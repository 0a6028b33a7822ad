package iostream

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// A token of the input that the next message does not have is not copied.
func TestSplitTokenStaysInPlace(t *testing.T) {
	for _, c := range []struct {
		from, to, advance int
		copied            bool
	}{
		{0, 2, 3, false},
		{0, 2, 2, false},
		{1, 3, 3, false},
		{0, 2, 1, true},
	} {
		sp := &splitter{fn: func(data []byte, _ bool) (int, []byte, error) {
			return c.advance, data[c.from:c.to], nil
		}}
		text := []byte("abcde")
		new(Stream).callSplit(sp, text)
		require.NoError(t, sp.err)
		require.Equal(t, "abcde"[c.from:c.to], string(sp.token))
		require.Equal(t, c.advance, sp.advance)
		if c.copied {
			require.Equal(t, -1, sp.from)
			text[c.from] = '!'
			require.Equal(t, "abcde"[c.from:c.to], string(sp.token))
		} else {
			require.Equal(t, [2]int{c.from, c.to}, [2]int{sp.from, sp.to})
		}
	}
}
