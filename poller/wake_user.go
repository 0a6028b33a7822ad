//go:build unix

package poller

import "os"

// userWaker is a user event in the kqueue itself. It clears itself when it is
// handed out. Its number is 0; identity is number and filter, so that it may
// be a descriptor's too.
type userWaker struct{ sys kernelQueue }

func (w *userWaker) fd() int       { return -1 }
func (w *userWaker) drain()        {}
func (w *userWaker) owns(int) bool { return false }
func (w *userWaker) close()        {}

func (w *userWaker) wake() error {
	err := again(func() error { return w.sys.change(kevent{filter: filterUser, fflags: noteTrigger}) })
	return os.NewSyscallError("kevent", err)
}
