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

	// OneShotAsFound: the filter of a one-shot is not run again when its event is
	// retrieved, so that it tells of what may have been taken since.
	OneShotAsFound bool

	// FIFOWritesAsReader: EVFILT_WRITE of a FIFO is that of the reading end, which
	// cannot be written to: EV_EOF at once and for ever. EVFILT_READ of its writing
	// end says nothing.
	FIFOWritesAsReader bool

	// FullWriterDeaf: EVFILT_WRITE of a pipe that is full does not fire when the
	// reader goes.
	FullWriterDeaf bool

	// ReaderNotWritable: EVFILT_WRITE of the reading end of a pipe never fires.
	ReaderNotWritable bool

	// WritesTell: with EV_CLEAR, EVFILT_WRITE of a pipe fires after each of one's own
	// writes, too, as long as there is room.
	WritesTell bool

	// EndReadTells: with EV_CLEAR, EVFILT_READ of a pipe fires once more when its end
	// has been read for the first time.
	EndReadTells bool

	// AddKeepsDisabled: EV_ADD does not enable a filter that was disabled.
	AddKeepsDisabled bool

	// NullPolls: /dev/null and the like have filters, and are ready always.
	NullPolls bool

	// NoUser, NoReceipt, NoDispatch: there are no user events (EINVAL); the flags
	// EV_RECEIPT and EV_DISPATCH mean nothing.
	NoUser, NoReceipt, NoDispatch bool
}

// The systems. OpenBSD has user events since 7.8, NetBSD since 10.0. What a system
// has changed over the years is there in the form that is harder to live with:
// newer releases of OpenBSD and NetBSD have no DeadPipe.
//
// NetBSD7 is what a kernel was seen to do: NetBSD 7.0, i386, in an emulator, with
// about 60 scenarios, and the same with the kqueue of 7.99.34 (kern_event.c of August
// 2016), where EV_RECEIPT and EV_DISPATCH are as here for other systems. In its
// source: pipes in sys/kern/sys_pipe.c (filt_pipewrite, pipe_kqfilter), one-shots in
// kqueue_scan of sys/kern/kern_event.c, FIFOs in fifo_kqfilter of
// sys/miscfs/fifofs/fifo_vnops.c. Left out: a kqueue may be added to itself there
// (and two to one another are EPERM), and a Unix socket whose peer has left data
// unread has come to its end and has not been reset, unlike the host's;
// in 7.99.34, EV_ENABLE after EV_DISPATCH tells only of what arrives from then on.
//
// NetBSD is a newer one, after its source and manual, and what was not seen to have
// changed is as in NetBSD7. OneShotAsFound of FreeBSD is in its kqueue_scan, too.
var (
	Darwin = &Profile{
		Name: "darwin", Read: -1, Write: -2, User: -10,
		ReceiptKeepsFlags: true, EventsKeepAdd: true, MaxSeconds: 100_000_000,
		DeafFIFO: true, RefusesTTY: true, FileWritable: true,
	}
	FreeBSD = &Profile{
		Name: "freebsd", Read: -1, Write: -2, User: -11,
		DeadPipe: syscall.EPIPE, ReceiptsNeedRoom: true, EndPasses: true, FileWritable: true,
		OneShotAsFound: true,
	}
	NetBSD7 = &Profile{
		Name: "netbsd7", Read: 0, Write: 1, User: 8, NoUser: true, NoReceipt: true, NoDispatch: true,
		DeadPipe: syscall.EBADF, EventsKeepAdd: true, EndPasses: true, NullPolls: true,
		OneShotAsFound: true, FIFOWritesAsReader: true, FullWriterDeaf: true, ReaderNotWritable: true,
		WritesTell: true, EndReadTells: true, AddKeepsDisabled: true,
	}
	NetBSD = &Profile{
		Name: "netbsd", Read: 0, Write: 1, User: 8,
		DeadPipe: syscall.EBADF, DeafWriter: true, ReceiptsNeedRoom: true, EventsKeepAdd: true, EndPasses: true,
		NullPolls: true, OneShotAsFound: true, FIFOWritesAsReader: true, ReaderNotWritable: true,
		WritesTell: true, EndReadTells: true, AddKeepsDisabled: true,
	}
	OpenBSD = &Profile{
		Name: "openbsd", Read: -1, Write: -2, User: -10,
		DeadPipe: syscall.EPIPE, ReceiptsNeedRoom: true, EventsKeepAdd: true, FileWritable: true,
	}
	DragonFly = &Profile{
		Name: "dragonfly", Read: -1, Write: -2, User: -9,
		DeadPipe: syscall.EPIPE, ReceiptsNeedRoom: true, FileWritable: true,
	}

	Profiles = []*Profile{Darwin, FreeBSD, NetBSD7, NetBSD, OpenBSD, DragonFly}
)
