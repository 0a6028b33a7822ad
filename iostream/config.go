package iostream

import (
	"fmt"
	"time"

	"github.com/eddyloop/eddy/internal/streamhook"
)

// Limits that a zero Config stands for, in bytes.
const (
	DefaultReadLimit     = 1 << 20
	DefaultWriteLimit    = 16 << 20
	DefaultHighWaterMark = 256 << 10
)

// DefaultCloseTimeout is what a zero Config.CloseTimeout stands for.
const DefaultCloseTimeout = 5 * time.Second

// MaxReadLimit is the largest Config.ReadLimit.
const MaxReadLimit = 1 << 30

// Config sets up streams. Nil and the zero value stand for the defaults. One
// Config may serve many streams; it must not be changed once it does.
type Config struct {
	// ReadLimit is the most bytes that a read may wait for: the limit of every
	// read that sets none of its own, and the largest that one may set. A
	// stream holds a buffer of at most this and 64 KiB. At most MaxReadLimit.
	ReadLimit int

	// WriteLimit is the most bytes that may wait to be sent. A Write that would
	// exceed it takes nothing and returns ErrBufferFull.
	WriteLimit int

	// HighWaterMark is how many bytes may wait to be sent before Room waits and
	// repeating reads (Handle) pause. Both go on when half of
	// it is left. At most WriteLimit.
	HighWaterMark int

	// CloseTimeout is how long a Close may take without progress: bytes that
	// the kernel takes or, where it tells, that leave its queue. 0 is
	// DefaultCloseTimeout. It is measured on the loop's clock, to a quarter.
	CloseTimeout time.Duration

	// MessageTimeout is how long a message may take from its first byte until a read that
	// waits for it is satisfied. Then the stream is closed with ErrMessageTimeout. A
	// message of UntilClose is all that comes. 0 or less is never.
	MessageTimeout time.Duration

	// SendTimeout is how long sending may stand still while bytes wait to be sent:
	// neither does the kernel take any, nor does its own queue get shorter, where it
	// tells. Then the stream is aborted with ErrSendTimeout. 0 or less is never.
	SendTimeout time.Duration

	// HandshakeTimeout is how long a TLS handshake may take, on the loop's
	// clock. 0 is DefaultHandshakeTimeout.
	HandshakeTimeout time.Duration

	// HandshakeOffLoop runs TLS handshakes on goroutines of their own. A
	// handshake computes for half a millisecond (ECDSA) or more than one (RSA)
	// during which the loop does nothing else, and the functions of a
	// tls.Config must not block; with HandshakeOffLoop several processors work
	// on handshakes, and the functions may block.
	HandshakeOffLoop bool

	// Budget, if not nil, bounds what all streams that share it hold in buffers.
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
