// Package stats sums up few and noisy figures: medians, and how sure they are.
package stats

import (
	"math"
	"slices"
)

// Summary is what is told of a sample.
type Summary struct {
	N        int
	Median   float64
	Min, Max float64
	// Low and High bound the median with at least 95 % confidence. With fewer
	// than 6 values there is no such interval; they are NaN.
	Low, High float64
}

// Of sums up values; of none, all is NaN.
func Of(values []float64) Summary {
	n := len(values)
	nan := math.NaN()
	if n == 0 {
		return Summary{0, nan, nan, nan, nan, nan}
	}
	v := slices.Sorted(slices.Values(values))
	s := Summary{N: n, Median: (v[(n-1)/2] + v[n/2]) / 2, Min: v[0], Max: v[n-1], Low: nan, High: nan}
	if k := rank(n); k > 0 {
		s.Low, s.High = v[k-1], v[n-k]
	}
	return s
}

// rank returns the largest k such that the k-th smallest and the k-th largest
// of n values enclose the median with at least 95 % confidence, 0 if none does:
// the interval of the sign test, which assumes nothing of the distribution.
func rank(n int) int {
	tail, term := 0.0, math.Pow(0.5, float64(n)) // P(B = 0)
	for k := 0; ; k++ {
		if tail += term; 2*tail > 0.05 {
			return k
		}
		term *= float64(n-k) / float64(k+1)
	}
}

// Median is Of(values).Median.
func Median(values []float64) float64 { return Of(values).Median }
