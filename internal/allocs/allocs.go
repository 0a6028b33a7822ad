// Package allocs is for tests of what a function allocates.
package allocs

import "testing"

// PerRun is testing.AllocsPerRun, the least of several times. That counts the whole process:
// a collection that empties pools, a new thread, or what the test began before, allocate now
// and then, and the function itself every time.
func PerRun(runs int, f func()) float64 {
	least := testing.AllocsPerRun(runs, f)
	for range 4 {
		if least == 0 {
			break
		}
		least = min(least, testing.AllocsPerRun(runs, f))
	}
	return least
}
