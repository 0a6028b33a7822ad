package socket

// Prepared is a connected stream socket that this module has made: non-blocking,
// closed on exec, without SO_LINGER, and in need of no further look.
type Prepared int
