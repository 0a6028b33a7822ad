package main

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestHistogram(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 100_000 {
		v := random.Uint64() >> (1 + random.IntN(63))
		i := bucket(v)
		require.GreaterOrEqual(t, uint64(upper(i)), v, v)
		require.LessOrEqual(t, float64(upper(i)), float64(v)*33/32+1, v)
		if i > 0 {
			require.Less(t, uint64(upper(i-1)), v, v)
		}
	}
	var h histogram
	require.Zero(t, h.quantile(0.5))
	for i := range 1000 {
		h.add(time.Duration(i+1) * time.Microsecond)
	}
	require.InDelta(t, 500*time.Microsecond, h.quantile(0.5), float64(20*time.Microsecond))
	require.InDelta(t, 990*time.Microsecond, h.quantile(0.99), float64(40*time.Microsecond))
	require.InDelta(t, time.Millisecond, h.quantile(1), float64(40*time.Microsecond))
}
