package testtime

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFactor(t *testing.T) {
	for value, want := range map[string]float64{"": 1, "50": 50, "1.5": 1.5, "0": 1, "-3": 1, "x": 1, "0.1": 1} {
		require.Equal(t, want, parse(value), "%q", value)
	}
}
