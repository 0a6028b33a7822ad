package stats

import (
	"math"
	"testing"
)

// The ranks are those of the sign test's published tables.
func TestRank(t *testing.T) {
	for n, want := range map[int]int{1: 0, 5: 0, 6: 1, 8: 1, 9: 2, 11: 2, 12: 3, 15: 4, 20: 6, 25: 8} {
		if got := rank(n); got != want {
			t.Errorf("rank(%d) = %d, want %d", n, got, want)
		}
	}
}

func TestOf(t *testing.T) {
	s := Of([]float64{6, 1, 5, 2, 4, 3})
	if s != (Summary{6, 3.5, 1, 6, 1, 6}) {
		t.Error(s)
	}
	if s := Of([]float64{3, 1, 2}); s.Median != 2 || !math.IsNaN(s.Low) {
		t.Error(s)
	}
	if s := Of(nil); s.N != 0 || !math.IsNaN(s.Median) {
		t.Error(s)
	}
}
