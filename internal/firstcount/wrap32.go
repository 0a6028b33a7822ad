//go:build eddy_wrap32 && !eddy_wrap31

package firstcount

// Count is just below the wrap.
const Count uint32 = 1<<32 - 3
