package iostream

import (
	"fmt"
	"time"

	"github.com/eddyloop/eddy/internal/streamhook"
)

// Limits that zero fields of Config stand for, in bytes.
const (
	DefaultReadLimit     = 1 << 20
	DefaultWriteLimit    = 16 << 20
	DefaultHighWaterMark = 256 << 10
)

// DefaultCloseTimeout is what a Config.CloseTimeout of 0 stands for.
const DefaultCloseTimeout = 5 * time.Second

// MaxReadLimit is the largest Config.ReadLimit, in bytes.
const MaxReadLimit = 1 << 30

// Config sets up streams. Nil and the zero value stand for the defaults. One
// Config may serve many streams; it must not be changed once a stream uses it.
// New and its like return ErrInvalid for a negative limit, CloseTimeout or
// HandshakeTimeout. All times go by the loop's clock.
type Config struct {
	// ReadLimit is the most bytes that a message may have if its Frame sets no
	// limit, and the highest limit that a Frame may set. A stream buffers at
	// most this and 64 KiB. 0 is DefaultReadLimit (1 MiB), the most is
	// MaxReadLimit.
	ReadLimit int

	// WriteLimit is the most bytes that may wait to be sent. A Write that would
	// exceed it takes nothing and returns ErrBufferFull. 0 is DefaultWriteLimit
	// (16 MiB).
	WriteLimit int

	// HighWaterMark is how many bytes may wait to be sent before Room waits and
	// repeating reads (Handle) pause. Both go on when half of it is left. 0 is
	// DefaultHighWaterMark (256 KiB), or WriteLimit if that is less. It must
	// not be above WriteLimit.
	HighWaterMark int

	// CloseTimeout is how long a Close may take without progress. Progress is
	// that the kernel takes bytes or, where it tells, that its queue gets
	// shorter. 0 is DefaultCloseTimeout (5 s). It may fire up to a quarter
	// late.
	CloseTimeout time.Duration

	// MessageTimeout is how long a message that a read waits for may take from
	// its first byte to its last. Then the stream is closed with
	// ErrMessageTimeout. To UntilClose the message is the whole input. 0 or
	// less is never; a tcp.Server has a default of its own.
	MessageTimeout time.Duration

	// SendTimeout is how long bytes may wait to be sent without progress, as
	// CloseTimeout has it. Then the stream is aborted with ErrSendTimeout. 0 or
	// less is never; a tcp.Server has a default of its own.
	SendTimeout time.Duration

	// HandshakeTimeout is how long a TLS handshake may take. 0 is
	// DefaultHandshakeTimeout (10 s).
	HandshakeTimeout time.Duration

	// HandshakeOffLoop runs each TLS handshake on a goroutine of its own. A
	// handshake computes for half a millisecond (ECDSA) or more than one (RSA).
	// On the loop, nothing else runs meanwhile, and the functions of a
	// tls.Config must not block. Off the loop, several processors work on
	// handshakes, and the functions may block.
	HandshakeOffLoop bool

	// Budget, if not nil, bounds what all streams that share it hold in
	// buffers.
	Budget *Budget

	// OnClosed, if not nil, is called on the loop when a stream has closed, after
	// the functions given to its WaitClosedFunc.
	OnClosed func(s *Stream, err error)

	tasks *streamhook.Tasks // nil: nobody is told of the tasks that handle messages
}

var defaultConfig = &Config{}

// check returns ErrInvalid with a reason if a limit is out of range.
func (c *Config) check() error {
	if c == nil {
		return nil
	}
	switch {
	case c.ReadLimit < 0:
		return fmt.Errorf("%w: negative ReadLimit", ErrInvalid)
	case c.ReadLimit > MaxReadLimit:
		return fmt.Errorf("%w: ReadLimit above MaxReadLimit", ErrInvalid)
	case c.WriteLimit < 0:
		return fmt.Errorf("%w: negative WriteLimit", ErrInvalid)
	case c.CloseTimeout < 0:
		return fmt.Errorf("%w: negative CloseTimeout", ErrInvalid)
	case c.HandshakeTimeout < 0:
		return fmt.Errorf("%w: negative HandshakeTimeout", ErrInvalid)
	case c.HighWaterMark < 0:
		return fmt.Errorf("%w: negative HighWaterMark", ErrInvalid)
	case c.HighWaterMark > c.writeLimit():
		return fmt.Errorf("%w: HighWaterMark above WriteLimit", ErrInvalid)
	}
	return nil
}

func (c *Config) readLimit() int {
	if c.ReadLimit == 0 {
		return DefaultReadLimit
	}
	return c.ReadLimit
}

func (c *Config) writeLimit() int {
	if c.WriteLimit == 0 {
		return DefaultWriteLimit
	}
	return c.WriteLimit
}

func (c *Config) highWaterMark() int {
	if c.HighWaterMark == 0 {
		return min(DefaultHighWaterMark, c.writeLimit())
	}
	return c.HighWaterMark
}

func (c *Config) lowWaterMark() int { return c.highWaterMark() / 2 }

func (c *Config) closeTimeout() time.Duration {
	if c.CloseTimeout == 0 {
		return DefaultCloseTimeout
	}
	return c.CloseTimeout
}

func (c *Config) handshakeTimeout() time.Duration {
	if c.HandshakeTimeout == 0 {
		return DefaultHandshakeTimeout
	}
	return c.HandshakeTimeout
}
