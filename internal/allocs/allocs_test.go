package allocs

import (
	"testing"

	"github.com/stretchr/testify/require"
)

var kept *int

func TestPerRun(t *testing.T) {
	require.Zero(t, PerRun(10, func() {}))
	require.EqualValues(t, 1, PerRun(10, func() { kept = new(int) }))
	calls := 0
	require.Zero(t, PerRun(10, func() {
		if calls++; calls < 20 { // as something else would for a while
			for range 20 {
				kept = new(int)
			}
		}
	}))
}
