package iostream

import (
	"bufio"
	"io"
	"runtime/debug"
	"unsafe"

	"github.com/eddyloop/eddy/ioloop"
)

// splitter is the state of a read by a bufio.SplitFunc. The function is called
// once for what has arrived, whoever asks how often: it may count its calls.
type splitter struct {
	fn      bufio.SplitFunc
	seen    int  // bytes that the last call had, -1 before the first
	atEOF   bool // and whether it was told of the end
	final   bool // it said bufio.ErrFinalToken
	empties int  // tokens in a row that took no input
	found   bool // a token, in the fields below
	advance int
	from    int // where the token stands in the input, -1: token is not of it
	to      int
	token   []byte
	err     error
	crashed bool // the function has panicked, or ended its goroutine
	over    bool // the function is called no more: the read ends with what it has
}

// maxEmpties is how many tokens in a row may take no input, as bufio has it.
const maxEmpties = 100

// splitterFor returns the splitter of a read. A stream keeps one.
func (s *Stream) splitterFor(fn bufio.SplitFunc) *splitter {
	d := s.ensureDetails()
	if d.split == nil || s.op.split == d.split || d.aside != nil && d.aside.split == d.split { // whose read may go on, if the new one is refused
		d.split = new(splitter)
	}
	*d.split = splitter{fn: fn, seen: -1}
	return d.split
}

// next makes way for the next token.
func (sp *splitter) next() {
	if sp.advance > 0 {
		sp.empties = 0
	} else {
		sp.empties++
	}
	sp.found, sp.token, sp.seen, sp.atEOF = false, nil, -1, false
}

// splitTook reports whether the token of the last read has taken input, and
// whether the SplitFunc wants no further read.
func (s *Stream) splitTook() (took, final bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sp := s.details.split
	return sp.advance > 0, sp.final
}

// matchSplit is readOp.match for a SplitFunc. It drops the input that the
// function has passed over.
func (s *Stream) matchSplit(op *readOp) (int, error) {
	sp := op.split
	eof := s.any(inputEnded) && s.details.readErr == io.EOF
	for !sp.found && sp.err == nil && !sp.over && (sp.seen != s.in.len() || sp.atEOF != eof) {
		b := s.in.bytes()
		if len(b) == 0 && !eof {
			return -1, nil
		}
		sp.seen, sp.atEOF = len(b), eof
		s.callSplit(sp, b)
		if sp.found || sp.err != nil {
			break
		}
		s.in.take(sp.advance)
	}
	switch {
	case sp.err != nil:
		return -1, sp.err
	case !sp.found:
		return -1, op.limit(s.in.bytes())
	case sp.empties > maxEmpties:
		return -1, io.ErrNoProgress
	case sp.advance > int(op.size) || len(sp.token) > int(op.size):
		return -1, ErrTooLong
	}
	return sp.advance, nil
}

// callSplit calls the function for b, and takes in what it says.
func (s *Stream) callSplit(sp *splitter, b []byte) {
	advance, token, err := s.contain(sp, b)
	switch {
	case err == bufio.ErrFinalToken:
		sp.final = true
		if token == nil {
			sp.err = io.EOF
		}
		advance = min(max(advance, 0), len(b))
	case err != nil:
		sp.err = err
		return
	case advance < 0:
		sp.err = bufio.ErrNegativeAdvance
		return
	case advance > len(b):
		sp.err = bufio.ErrAdvanceTooFar
		return
	}
	sp.advance, sp.found = advance, token != nil
	sp.token, sp.from = token, -1
	if at, ok := within(b, token); ok && at+len(token) <= advance {
		sp.from, sp.to = at, at+len(token)
	} else if ok {
		sp.token = append([]byte(nil), token...) // bytes that the next message has too
	}
}

// contain calls the function and makes an error of its panic. One that ends the
// goroutine leaves no stream behind that is locked.
func (s *Stream) contain(sp *splitter, b []byte) (advance int, token []byte, err error) {
	returned := false
	defer func() {
		if returned {
			return
		}
		sp.crashed = true
		if r := recover(); r != nil {
			err = &ioloop.PanicError{Value: r, Stack: debug.Stack()}
			return
		}
		sp.err = ioloop.ErrGoexit
		if s.op.split == sp {
			s.op.running = false // its function is told
		}
		s.closeLocked(sp.err)
		s.schedule()
		s.mu.Unlock() // nobody else does: nothing of what would follow runs
	}()
	advance, token, err = sp.fn(b[:len(b):len(b)], sp.atEOF)
	returned = true
	return advance, token, err
}

// abortIfCrashed ends the stream of a SplitFunc that has panicked, as the panic of
// a callback does.
func (s *Stream) abortIfCrashed(op *readOp) {
	if op.split != nil && op.split.crashed {
		s.splitCrashed(op.split)
	}
}

func (s *Stream) splitCrashed(sp *splitter) {
	s.closeLocked(sp.err)
	s.schedule()
}

// within returns where in b the token stands.
func within(b, token []byte) (int, bool) {
	if len(token) == 0 || len(b) == 0 {
		return 0, false
	}
	at := uintptr(unsafe.Pointer(unsafe.SliceData(token))) - uintptr(unsafe.Pointer(unsafe.SliceData(b)))
	return int(at), at < uintptr(len(b))
}

// strip returns the token of data, the input that it has taken.
func (sp *splitter) strip(data []byte) []byte {
	if sp.from < 0 {
		return sp.token
	}
	return data[sp.from:sp.to:sp.to]
}
