//go:build linux

// Package kqueuesim is kqueue(2) in Go, for tests on Linux. It is written from
// what the manual pages of macOS and the BSDs say, and not from what package
// poller needs.
//
// A [Queue] watches either descriptors of the host or those of a [Script],
// where a test says what happens. The script is the authority for the edges:
// of the host it cannot be learned which error is pending on a socket without
// taking it (ECONNRESET stands for all), and one wake-up of both directions,
// as for the end of a stream, is an event for either filter, which with
// EV_CLEAR gives one more event for writing than a BSD would. Nor does the
// host tell of close(2): a file that comes back at its number within one call
// of Kevent and the next is taken for the one that was there.
package kqueuesim

// Kevent is a change or an event. It is as wide as the widest of the systems'.
type Kevent struct {
	Ident  uint64
	Filter int32
	Flags  uint32
	Fflags uint32
	Data   int64
	Udata  uint64
}

// Flags of a Kevent, the same on every system.
const (
	EV_ADD      = 0x1
	EV_DELETE   = 0x2
	EV_ENABLE   = 0x4
	EV_DISABLE  = 0x8
	EV_ONESHOT  = 0x10
	EV_CLEAR    = 0x20
	EV_RECEIPT  = 0x40
	EV_DISPATCH = 0x80
	EV_ERROR    = 0x4000
	EV_EOF      = 0x8000
)

// Fflags for a user event.
const (
	NOTE_FFNOP      = 0x00000000
	NOTE_FFAND      = 0x40000000
	NOTE_FFOR       = 0x80000000
	NOTE_FFCOPY     = 0xc0000000
	NOTE_FFCTRLMASK = 0xc0000000
	NOTE_FFLAGSMASK = 0x00ffffff
	NOTE_TRIGGER    = 0x01000000
)
