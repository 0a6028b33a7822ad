//go:build race

package iostreamtest_test

const raceEnabled = true
