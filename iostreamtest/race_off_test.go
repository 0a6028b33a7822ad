//go:build !race

package iostreamtest_test

const raceEnabled = false
