package pollertest

import (
	"errors"
	"os"
	"syscall"
	"time"
	"unsafe"

	"github.com/eddyloop/eddy/internal/posix"
	"golang.org/x/sys/windows"
)

var interruption os.Signal = os.Interrupt

// systemLimits are those of every Poller.
var systemLimits = NoPipes | NoSignals | NoNumbers | NoHangup | OwnEndUntold | KeepsErrors | UntoldDatagrams | Late | TellsPassed | wineLimits()

// wineLimits are those of wine: its server looks at a socket with poll(2), which
// hides the end behind data, and takes the error of a reset to itself.
func wineLimits() Limits {
	if posix.UnderWine() {
		return LateEnd | ResetsAreEnds
	}
	return 0
}

func closedOnExec(fd int) (bool, error) {
	if _, err := windows.GetFileType(windows.Handle(fd)); err != nil {
		return false, syscall.EBADF
	}
	return true, nil // a child gets what its parent names, and nothing else
}

func raiseFileLimit() {}

var procThreadTimes = windows.NewLazySystemDLL("kernel32.dll").NewProc("GetThreadTimes")

// cpuTime is the time that this thread has worked.
func cpuTime() time.Duration {
	var created, ended, kernel, user windows.Filetime
	self := ^uintptr(1) // GetCurrentThread
	procThreadTimes.Call(self, uintptr(unsafe.Pointer(&created)), uintptr(unsafe.Pointer(&ended)),
		uintptr(unsafe.Pointer(&kernel)), uintptr(unsafe.Pointer(&user)))
	return time.Duration(ticks(kernel)+ticks(user)) * 100
}

func ticks(f windows.Filetime) int64 { return int64(f.HighDateTime)<<32 | int64(f.LowDateTime) }

// dup2 takes duplicates until one has the number, which is free: nobody can ask
// for it.
func dup2(from, to int) error {
	var others []int
	defer func() {
		for _, fd := range others {
			posix.Close(fd)
		}
	}()
	for range 10_000 {
		fd, err := posix.Dup(from)
		if err != nil || fd == to {
			return err
		}
		others = append(others, fd)
	}
	return errors.New("the number is not handed out")
}

func threadID() int { return 0 }

func interrupt(int, os.Signal) error { return nil }

// pollRDHup is asked for only where unread data hides the end of a stream.
const pollRDHup = 0
