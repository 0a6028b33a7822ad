// Package poller tells which file descriptors are ready for reading or writing:
// one interface, with epoll behind it on Linux, kqueue on macOS and the BSDs,
// poll(2) on AIX, Solaris and illumos, and \Device\Afd on Windows, where a
// descriptor is the handle of a socket.
//
// A Poller knows descriptors and nothing above them. It never reads, writes or
// closes a descriptor that it watches; closing is the caller's, after
// [Poller.Remove].
package poller

import (
	"errors"
	"fmt"
	"io/fs"
	"time"
)

// Token is the caller's name for a registration. It comes back in every
// [Event]; the Poller gives it no meaning, so every value is allowed.
type Token uint64

// Interest is a set of conditions to watch for and, in an [Event], the set that
// was found.
type Interest uint8

const (
	// Readable: a read would not block. End of stream and a pending error are
	// readable too.
	Readable Interest = 1 << iota

	// Writable: a write would not block. A descriptor that can never be written
	// again is writable too: the write tells why.
	Writable

	// PeerClosed is the close watch: the peer of a stream socket has shut down
	// its writing side, or the connection is gone. Unread data neither hides it
	// nor wakes it, and it is told once for each arming, in every mode, and
	// once more, with the hint Failed, if the connection breaks after that;
	// together with Readable it may be told again with each Readable. Where the
	// kernel has no such condition it is told when the stream has been drained.
	PeerClosed
)

// Mode says how often a condition that persists is reported.
type Mode uint8

const (
	// Level reports a condition in every Wait for as long as it holds.
	Level Mode = iota

	// Edge reports a condition when it arises: when new data arrives (also
	// behind unread data) or room appears. Modify re-arms it, so that a
	// condition that holds already is reported once more. With poll(2) and on
	// Windows it is refused with ErrNoEdges.
	Edge

	// OneShot reports one event and is then silent in both directions until the
	// next Modify. On some kernels (FreeBSD, NetBSD) the event may tell of what has
	// been taken since it arose: they do not look again.
	OneShot
)

// Hint tells more about an Event than readiness. Hints help to choose what to
// do first; they are not facts to act on. End of stream is a read of 0 bytes,
// and an error is what the system call returns.
type Hint uint8

const (
	// Hangup: both directions of the stream are finished.
	Hangup Hint = 1 << iota

	// Failed: an error is pending on the descriptor (SO_ERROR of a socket).
	Failed
)

// Event is what Wait found on one descriptor. There is at most one Event for a
// descriptor in a batch, its directions joined.
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
// A descriptor must be removed before it is closed. On Linux the kernel keeps
// reporting a closed descriptor as long as a duplicate of it is open (in a
// child process, for example).
//
// Whoever writes a Poller of his own embeds another one, or [Unimplemented], and
// has what is added to this interface later.
type Poller interface {
	// Add starts watching fd. With interest 0 the descriptor is known but
	// nothing at all is reported, not even errors. It returns ErrExists if fd
	// is registered, ErrNotPollable for files without readiness (regular files,
	// directories) and those that the system cannot watch, ErrInvalid for an
	// unknown interest or mode, ErrNoEdges, ErrClosed, or the kernel's error.
	Add(fd int, token Token, interest Interest, mode Mode) error

	// Modify replaces token, interest and mode, and re-arms: a condition that
	// holds is reported again in every mode. It returns ErrNotExist if fd is
	// not registered. After any other error the registration is as it was, and
	// may report once more. If the kernel has lost it, the error is ErrNotExist
	// as well as the kernel's, and fd is registered no more.
	Modify(fd int, token Token, interest Interest, mode Mode) error

	// Remove stops watching fd. A Wait that returns after Remove has returned
	// has no event for this registration, whoever uses the number next; a batch
	// that Wait has returned before may. It returns ErrNotExist if fd is not
	// registered; a descriptor that has been closed already is removed without
	// an error. After a kernel's error fd is registered no more either.
	Remove(fd int) error

	// Wait fills events from the front and returns how many it found: 0 when
	// the timeout ran out, a signal arrived, or Wake was called. A negative
	// timeout waits without end, 0 does not wait. Timeouts over a day may end
	// early. Only one goroutine may wait: a second gets ErrBusy. An empty slice
	// is ErrInvalid. After Close it returns ErrClosed.
	Wait(events []Event, timeout time.Duration) (int, error)

	// Wake makes the Wait in progress, or else the next one, return. Any number
	// of calls before that Wait returns are one wake-up. After an error nobody
	// has been woken, and the next call tries again.
	Wake() error

	// SupportsEdge reports whether there is mode Edge.
	SupportsEdge() bool

	// FD returns the descriptor of the Poller itself, which is readable when
	// events are pending, so that one Poller can be watched by another. It is
	// the Poller's to close. After Close, and with poll(2), it is -1.
	FD() int

	// Close wakes the Wait in progress, waits until it has left, and releases
	// the Poller's own descriptors. A second Close returns ErrClosed. If the
	// Wait cannot be woken, Close returns why at once, and the descriptors are
	// released when that Wait ends.
	Close() error

	grows()
}

// Unimplemented is a Poller that watches nothing, to be embedded in one that is
// written for a simulation, say. Wake and Close do nothing.
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
