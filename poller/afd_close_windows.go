package poller

import (
	"os"
	"sync"
	"time"

	"golang.org/x/sys/windows"
)

// abandoned keeps what the kernel has not given back.
var (
	abandonedMu sync.Mutex
	abandoned   [][]*afdRequest
)

// close takes every poll back before the memory goes. Closing the driver's handles
// would cancel them too, and not tell when that is done.
func (a *afd) close() error {
	for i := range a.watches {
		a.takeBack(&a.watches[i])
	}
	list := make([]completion, 64)
	for end := time.Now().Add(time.Second); a.pending > 0; {
		n, err := completions(a.port, list, time.Second)
		for _, c := range list[:n] {
			if c.key == keyPoll {
				a.pending--
			}
		}
		if err != nil || time.Now().After(end) {
			abandonedMu.Lock()
			abandoned = append(abandoned, a.polls)
			abandonedMu.Unlock()
			break
		}
	}
	for _, g := range a.groups {
		windows.CloseHandle(g.file)
	}
	return os.NewSyscallError("CloseHandle", windows.CloseHandle(a.port))
}
