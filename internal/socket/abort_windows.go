package socket

import (
	"unsafe"

	"golang.org/x/sys/windows"
)

// ResetOnClose has the close of a TCP socket break the connection: nothing more is
// sent, and the peer sees a reset. Closing does not block.
func ResetOnClose(fd int) {
	linger := struct{ on, seconds uint16 }{on: 1} // as winsock2.h has it
	_ = windows.Setsockopt(windows.Handle(fd), windows.SOL_SOCKET, windows.SO_LINGER,
		(*byte)(unsafe.Pointer(&linger)), int32(unsafe.Sizeof(linger)))
}

// Queued returns 0: the system does not tell what it holds for the peer.
func Queued(int) int { return 0 }
