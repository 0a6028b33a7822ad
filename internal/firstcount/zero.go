//go:build !eddy_wrap31 && !eddy_wrap32

// Package firstcount is where counters of 32 bits that may wrap begin. Build tags put
// that just below the wraps, for tests: of what is compared as signed at 1<<31, of all
// at 1<<32.
package firstcount

// Count is what a counter begins with.
const Count uint32 = 0
