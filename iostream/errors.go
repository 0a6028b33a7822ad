package iostream

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"github.com/eddyloop/eddy/ioloop"
)

// Causes that a stream's operations fail with, found by errors.Is in the
// *[Error] that they return. Others are io.EOF (the peer has finished writing),
// net.ErrClosed (the stream was closed on this side), the errno of a system
// call, and the error of the context that an operation waited with.
var (
	// ErrReadPending: the stream has a read already, which goes on unharmed.
	ErrReadPending = errors.New("another read is pending")

	// ErrTooLong: a read cannot be satisfied within its limit. The bytes stay
	// buffered and the stream usable.
	ErrTooLong = errors.New("message is longer than the limit")

	// ErrMalformed: a length prefix that counts itself (Frame.CountsHeader) is
	// less than its own size. The bytes stay buffered.
	ErrMalformed = errors.New("malformed length prefix")

	// ErrBufferFull: a write would exceed Config.WriteLimit. None of it was
	// taken; the stream stays usable.
	ErrBufferFull = errors.New("write buffer is full")

	// ErrInvalid: an argument is out of range. Nothing has changed. It is
	// fs.ErrInvalid too.
	ErrInvalid = fmt.Errorf("%w", fs.ErrInvalid)

	// ErrIdle: no byte has moved for the stream's idle timeout, which closed
	// it. It is os.ErrDeadlineExceeded too.
	ErrIdle = fmt.Errorf("stream was idle: %w", os.ErrDeadlineExceeded)

	// ErrMessageTimeout: a message took longer than Config.MessageTimeout. It
	// is os.ErrDeadlineExceeded too.
	ErrMessageTimeout = fmt.Errorf("message takes too long: %w", os.ErrDeadlineExceeded)

	// ErrSendTimeout: for Config.SendTimeout, or Config.CloseTimeout after
	// Close, the peer took nothing of what was written. It is
	// os.ErrDeadlineExceeded too.
	ErrSendTimeout = fmt.Errorf("peer takes nothing: %w", os.ErrDeadlineExceeded)

	// What reads of one end of a pipe return and writes to the other. Both are
	// EBADF, as read(2) and write(2) have it.
	errWriteOnly = fmt.Errorf("stream is for writing only: %w", syscall.EBADF)
	errReadOnly  = fmt.Errorf("stream is for reading only: %w", syscall.EBADF)

	// ErrBudget: the Budget that the stream shares was used up, and the stream
	// was aborted because it held much.
	ErrBudget = errors.New("memory budget is used up")

	// ErrWouldBlock is what a [Transport] returns when it must wait.
	ErrWouldBlock = errors.New("operation would block")
)

// Error is the error of a stream's operation: what was tried, and why it
// failed. Every error that a method of Stream returns, or passes to the
// callback of an operation, is an *Error. Only Err, WaitClosedFunc and
// Config.OnClosed give the cause alone.
type Error struct {
	Op  string // "read until", "write", ...
	Err error  // the cause
}

func (e *Error) Error() string {
	return "iostream: " + e.Op + ": " + strings.TrimPrefix(e.Err.Error(), "iostream: ")
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Timeout reports whether the cause is a deadline, as net.Error has it.
func (e *Error) Timeout() bool {
	var t interface{ Timeout() bool }
	return errors.As(e.Err, &t) && t.Timeout()
}

func opError(op string, err error) error {
	if err == nil {
		return nil
	}
	return &Error{Op: op, Err: err}
}

// checkContext is ioloop.CheckContext, with this package's word for no context.
func checkContext(ctx context.Context) error {
	err := ioloop.CheckContext(ctx)
	if err == ioloop.ErrInvalid {
		return ErrInvalid
	}
	return err
}
