package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/eddyloop/eddy/examples/internal/trial"
)

func TestCalculator(t *testing.T) {
	trial.Program(t, "bc")
	var out strings.Builder
	require.NoError(t, run(t.Context(), &out, []string{"2^64", "scale=2; 10/4", "2^1000"}))
	require.True(t, strings.HasPrefix(out.String(), "2^64 = 18446744073709551616\nscale=2; 10/4 = 2.50\n2^1000 = 10715086071862673"), out.String())
	require.ErrorContains(t, run(t.Context(), &out, []string{"1+"}), "bc says: ")
	require.Error(t, run(t.Context(), &out, []string{"quit"}))
}
