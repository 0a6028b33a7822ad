//go:build eddy_wrap31

package firstcount

// Count is just below the wrap of the sign.
const Count uint32 = 1<<31 - 3
