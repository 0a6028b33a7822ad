// Package poller tells which file descriptors are ready for reading or writing.
// One interface stands for epoll on Linux, kqueue on macOS and the BSDs,
// poll(2) on AIX, Solaris and illumos, and \Device\Afd on Windows, where a
// descriptor is the handle of a socket.
//
//	p, err := poller.New()
//	if err != nil {
//		return err
//	}
//	defer p.Close()
//	if err := p.Add(fd, 1, poller.Readable, poller.Level); err != nil {
//		return err
//	}
//	events := make([]poller.Event, 64)
//	n, err := p.Wait(events, time.Second)
//	for _, e := range events[:n] {
//		fmt.Println(e) // token 1: Readable
//	}
//
// A Poller never reads, writes or closes a descriptor that it watches. The
// caller closes it, after Poller.Remove. Most programs want package ioloop,
// which calls handlers, or iostream.
package poller

import (
	"errors"
	"fmt"
	"io/fs"
	"time"
)

// Token is the caller's name for a registration, returned in every Event. Any
// value is allowed.
type Token uint64

// Interest is a set of conditions to watch for and, in an [Event], the set that
// was found.
type Interest uint8

const (
	// Readable: a read would not block. End of stream and a pending error are
	// readable too.
	Readable Interest = 1 << iota

	// Writable: a write would not block. A descriptor that can never be written
	// again is writable too: the write returns why.
	Writable

	// PeerClosed: the peer of a stream socket has shut down its writing side,
	// or the connection is gone. Unread data neither hides nor triggers it. It
	// is reported once for each Add or Modify, in every mode, and once more,
	// with the hint Failed, if the connection breaks after that. Together with
	// Readable it may be reported with each Readable. Where the kernel has no
	// such condition, it is reported when the stream has been read to its end.
	PeerClosed
)

// Mode says how often a condition that persists is reported.
type Mode uint8

const (
	// Level reports a condition in every Wait for as long as it holds.
	Level Mode = iota

	// Edge reports a condition when it arises: when new data arrives, also
	// behind unread data, or when there is room again. Modify re-arms it: a
	// condition that holds is reported once more. poll(2) and Windows refuse it
	// with ErrNoEdges.
	Edge

	// OneShot reports one event and then nothing until the next Modify. On
	// FreeBSD and NetBSD the event may tell of data that was read since it
	// arose.
	OneShot
)

// Hint tells more about an Event than readiness. Hints help to choose what to
// do first; do not rely on them. A read of 0 bytes is the end of the stream,
// and a system call returns the error.
type Hint uint8

const (
	// Hangup: both directions of the stream are finished.
	Hangup Hint = 1 << iota

	// Failed: an error is pending on the descriptor (SO_ERROR of a socket).
	Failed
)

// Event is what Wait found on one descriptor. A batch has at most one Event for
// a descriptor, with all of its conditions.
type Event struct {
	Token Token
	Ready Interest
	Hints Hint
}

// Errors of a Poller. Those that have an equal in the standard library are
// found by errors.Is under that name too: [fs.ErrClosed], [fs.ErrExist],
// [fs.ErrNotExist], [fs.ErrInvalid], [errors.ErrUnsupported]. Errors of system
// calls are *[os.SyscallError].
var (
	ErrClosed      = fmt.Errorf("poller: %w", fs.ErrClosed)
	ErrExists      = fmt.Errorf("poller: descriptor is registered: %w", fs.ErrExist)
	ErrNotExist    = fmt.Errorf("poller: descriptor is not registered: %w", fs.ErrNotExist)
	ErrInvalid     = fmt.Errorf("poller: %w", fs.ErrInvalid)
	ErrNotPollable = errors.New("poller: this kind of file cannot be watched")
	ErrBusy        = errors.New("poller: another goroutine is waiting")
	ErrNoEdges     = fmt.Errorf("poller: the system has no edges: %w", errors.ErrUnsupported)
	ErrUnsupported = fmt.Errorf("poller: no backend for this system: %w", errors.ErrUnsupported)
)

// Poller watches descriptors. All methods may be called from any goroutine
// while another one is in Wait, and no lock is held while Wait blocks.
//
// Remove a descriptor before closing it. On Linux the kernel reports a closed
// descriptor as long as a duplicate of it is open, for example in a child
// process.
//
// Methods may be added to this interface. Another implementation embeds a
// Poller or Unimplemented, and then has them too.
type Poller interface {
	// Add starts watching fd. With interest 0, nothing is reported, not even
	// errors. It returns ErrExists if fd is registered, ErrNotPollable for
	// files without readiness (regular files, directories) and those that the
	// system cannot watch, ErrInvalid for an unknown interest or mode,
	// ErrNoEdges, ErrClosed, or the kernel's error.
	Add(fd int, token Token, interest Interest, mode Mode) error

	// Modify replaces token, interest and mode, and re-arms: a condition that
	// holds is reported again in every mode. It returns ErrNotExist if fd is
	// not registered. If the kernel has lost the registration, the error is
	// ErrNotExist as well as the kernel's, and fd is no longer registered.
	// After any other error the registration is unchanged, and may report once
	// more.
	Modify(fd int, token Token, interest Interest, mode Mode) error

	// Remove stops watching fd. A Wait that returns after Remove has returned
	// reports no event of this registration, even if the number is used again;
	// a batch that was returned before may contain one. Remove returns
	// ErrNotExist if fd is not registered, and nil if fd has been closed
	// already. Even after an error of the kernel fd is no longer registered.
	Remove(fd int) error

	// Wait fills events from the front and returns how many it found: 0 when
	// the timeout has passed, a signal arrived, or Wake was called. A negative
	// timeout waits without limit, 0 does not wait; a timeout above a day may
	// end early. Only one goroutine may wait: a second gets ErrBusy. An empty
	// slice is ErrInvalid. After Close, Wait returns ErrClosed.
	Wait(events []Event, timeout time.Duration) (int, error)

	// Wake makes the Wait in progress, or else the next one, return. Any number
	// of calls before that Wait returns count as one. After an error nothing
	// was woken, and the next call tries again.
	Wake() error

	// SupportsEdge reports whether the mode Edge is supported.
	SupportsEdge() bool

	// FD returns the descriptor of the Poller itself, so that another Poller
	// can watch it: it is readable when events are pending. The caller must not
	// close it. It is -1 after Close and with poll(2).
	FD() int

	// Close ends the Wait in progress, waits until it has returned, and
	// releases the Poller's own descriptors. A second Close returns ErrClosed.
	// If the Wait cannot be woken, Close returns why at once, and the
	// descriptors are released when that Wait ends.
	Close() error

	grows()
}

// Unimplemented is a Poller that watches nothing. Embed it in an implementation
// of your own, such as a simulation. Wake and Close return nil.
type Unimplemented struct{}

// Add returns ErrUnsupported.
func (Unimplemented) Add(int, Token, Interest, Mode) error { return ErrUnsupported }

// Modify returns ErrNotExist.
func (Unimplemented) Modify(int, Token, Interest, Mode) error { return ErrNotExist }

// Remove returns ErrNotExist.
func (Unimplemented) Remove(int) error { return ErrNotExist }

// Wait returns ErrUnsupported.
func (Unimplemented) Wait([]Event, time.Duration) (int, error) { return 0, ErrUnsupported }

func (Unimplemented) Wake() error        { return nil }
func (Unimplemented) SupportsEdge() bool { return false }

// FD returns -1.
func (Unimplemented) FD() int { return -1 }

func (Unimplemented) Close() error { return nil }
func (Unimplemented) grows()       {}
