//go:build linux

package kqueuesim

import "syscall"

// Profile is in what a system differs from the others.
type Profile struct {
	Name string

	// Numbers of the filters.
	Read, Write, User int32

	// DeadPipe is the answer to EVFILT_WRITE for a pipe that has no reader any
	// more. With 0 the filter is accepted, and reports EV_EOF.
	DeadPipe syscall.Errno

	// DeafWriter: EVFILT_READ for the writing end of a pipe never fires, not even
	// when the reader goes.
	DeafWriter bool

	// ReceiptKeepsFlags: the flags of a receipt are those of the change and
	// EV_ERROR, not EV_ERROR alone.
	ReceiptKeepsFlags bool

	// ReceiptsNeedRoom: a receipt for which there's no room ends the call, without
	// an error, and the changes behind it aren't made.
	ReceiptsNeedRoom bool

	// EventsKeepAdd: events show the EV_ADD of their change. No manual says
	// whether they do.
	EventsKeepAdd bool

	// MaxSeconds is the longest timeout; longer ones are EINVAL. 0 is none.
	MaxSeconds int64

	// DeafFIFO: the reader of a FIFO isn't told that the last writer has gone.
	DeafFIFO bool

	// EndPasses: EV_EOF of a FIFO is taken back when another writer comes.
	EndPasses bool

	// RefusesTTY: /dev/tty has no filters (EINVAL). The terminal's own file has.
	RefusesTTY bool

	// FileWritable: EVFILT_WRITE accepts regular files, which are ready always.
	FileWritable bool
}

// The systems. NetBSD has user events since 10.0, OpenBSD since 7.8. What a system
// has changed over the years is there in the form that is harder to live with:
// newer releases of NetBSD and OpenBSD have no DeadPipe, older ones of NetBSD no
// DeafWriter.
var (
	Darwin = &Profile{
		Name: "darwin", Read: -1, Write: -2, User: -10,
		ReceiptKeepsFlags: true, EventsKeepAdd: true, MaxSeconds: 100_000_000,
		DeafFIFO: true, RefusesTTY: true, FileWritable: true,
	}
	FreeBSD = &Profile{
		Name: "freebsd", Read: -1, Write: -2, User: -11,
		DeadPipe: syscall.EPIPE, ReceiptsNeedRoom: true, EndPasses: true, FileWritable: true,
	}
	NetBSD = &Profile{
		Name: "netbsd", Read: 0, Write: 1, User: 8,
		DeadPipe: syscall.EBADF, DeafWriter: true, ReceiptsNeedRoom: true, EndPasses: true, FileWritable: true,
	}
	OpenBSD = &Profile{
		Name: "openbsd", Read: -1, Write: -2, User: -10,
		DeadPipe: syscall.EPIPE, ReceiptsNeedRoom: true, EventsKeepAdd: true, FileWritable: true,
	}
	DragonFly = &Profile{
		Name: "dragonfly", Read: -1, Write: -2, User: -9,
		DeadPipe: syscall.EPIPE, ReceiptsNeedRoom: true, FileWritable: true,
	}

	Profiles = []*Profile{Darwin, FreeBSD, NetBSD, OpenBSD, DragonFly}
)
