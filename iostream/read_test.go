//go:build unix || windows

package iostream_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"regexp"
	"strings"
	"testing"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/iostreamtest"
	"github.com/stretchr/testify/require"
)

func until(delim string, max int) operation {
	return operation{fmt.Sprintf("until %q max %d", delim, max),
		func(ctx context.Context, s *iostream.Stream) result {
			return bytesResult(s.Read(ctx, iostream.Until(delim).Limit(max)))
		},
		func(s *iostream.Stream, done func(result)) error {
			return s.ReadFunc(iostream.Until(delim).Limit(max), func(b []byte, err error) { done(bytesResult(b, err)) })
		}}
}

func untilRegexp(expr string, max int) operation {
	re := regexp.MustCompile(expr)
	return operation{fmt.Sprintf("until regexp %q max %d", expr, max),
		func(ctx context.Context, s *iostream.Stream) result {
			return bytesResult(s.Read(ctx, iostream.UntilRegexp(re).Limit(max)))
		},
		func(s *iostream.Stream, done func(result)) error {
			return s.ReadFunc(iostream.UntilRegexp(re).Limit(max), func(b []byte, err error) { done(bytesResult(b, err)) })
		}}
}

func exactly(n int) operation {
	return operation{fmt.Sprintf("bytes %d", n),
		func(ctx context.Context, s *iostream.Stream) result {
			return bytesResult(s.Read(ctx, iostream.Bytes(n)))
		},
		func(s *iostream.Stream, done func(result)) error {
			return s.ReadFunc(iostream.Bytes(n), func(b []byte, err error) { done(bytesResult(b, err)) })
		}}
}

func peek(n int) operation {
	return operation{fmt.Sprintf("peek %d", n),
		func(ctx context.Context, s *iostream.Stream) result {
			return bytesResult(s.Read(ctx, iostream.Peek(n)))
		},
		func(s *iostream.Stream, done func(result)) error {
			return s.ReadFunc(iostream.Peek(n), func(b []byte, err error) { done(bytesResult(b, err)) })
		}}
}

func some(max int) operation {
	return operation{fmt.Sprintf("some %d", max),
		func(ctx context.Context, s *iostream.Stream) result {
			return bytesResult(s.Read(ctx, iostream.Some(max)))
		},
		func(s *iostream.Stream, done func(result)) error {
			return s.ReadFunc(iostream.Some(max), func(b []byte, err error) { done(bytesResult(b, err)) })
		}}
}

func untilClose(max int) operation {
	return operation{fmt.Sprintf("until close max %d", max),
		func(ctx context.Context, s *iostream.Stream) result {
			return bytesResult(s.Read(ctx, iostream.UntilClose().Limit(max)))
		},
		func(s *iostream.Stream, done func(result)) error {
			return s.ReadFunc(iostream.UntilClose().Limit(max), func(b []byte, err error) { done(bytesResult(b, err)) })
		}}
}

func into(size int) operation {
	return operation{fmt.Sprintf("into %d", size),
		func(ctx context.Context, s *iostream.Stream) result {
			p := make([]byte, size)
			n, err := s.ReadAtLeast(ctx, p, len(p))
			return result{string(p[:n]), n, err}
		},
		func(s *iostream.Stream, done func(result)) error {
			p := make([]byte, size)
			return s.ReadAtLeastFunc(p, len(p), func(n int, err error) { done(result{string(p[:n]), n, err}) })
		}}
}

func someInto(size int) operation {
	return operation{fmt.Sprintf("some into %d", size),
		func(ctx context.Context, s *iostream.Stream) result {
			p := make([]byte, size)
			n, err := s.ReadAtLeast(ctx, p, min(1, len(p)))
			return result{string(p[:n]), n, err}
		},
		func(s *iostream.Stream, done func(result)) error {
			p := make([]byte, size)
			return s.ReadAtLeastFunc(p, min(1, len(p)), func(n int, err error) { done(result{string(p[:n]), n, err}) })
		}}
}

// step is a read and what it must come to.
type step struct {
	op   operation
	want string
	err  error
}

// readCase is what arrives, and the reads one after the other.
type readCase struct {
	name   string
	config *iostream.Config
	arrive []string
	eof    bool
	steps  []step
}

var small = &iostream.Config{ReadLimit: 16}

var readCases = []readCase{
	{"delimiter in one piece", nil, []string{"abc\ndef\n"}, false,
		[]step{{until("\n", 0), "abc\n", nil}, {until("\n", 0), "def\n", nil}}},
	{"delimiter across pieces", nil, []string{"ab", "c\r", "\nrest"}, false,
		[]step{{until("\r\n", 0), "abc\r\n", nil}, {exactly(4), "rest", nil}}},
	{"delimiter with overlapping start", nil, []string{"aa", "aab"}, false, []step{{until("aab", 0), "aaaab", nil}}},
	{"delimiter at the limit", nil, []string{"abcd\n!"}, false, []step{{until("\n", 5), "abcd\n", nil}}},
	{"limit counts to the delimiter's end only", nil, []string{"ab\n0123456789"}, false, []step{{until("\n", 5), "ab\n", nil}}},
	{"delimiter beyond the limit", nil, []string{"abcde\n"}, false,
		[]step{{until("\n", 5), "", iostream.ErrTooLong}, {until("\n", 6), "abcde\n", nil}}},
	{"no delimiter within the limit leaves the bytes", nil, []string{"abc", "def"}, false,
		[]step{{until("\n", 5), "", iostream.ErrTooLong}, {exactly(6), "abcdef", nil}}},
	{"two-byte delimiter, limit exactly reached", nil, []string{"abc\r", "\n"}, false, []step{{until("\r\n", 5), "abc\r\n", nil}}},
	{"stream's limit", small, []string{"0123456789abcdefg"}, false,
		[]step{{until("\n", 0), "", iostream.ErrTooLong}, {exactly(16), "0123456789abcdef", nil}}},
	{"regexp", nil, []string{"head: a\r\n", "\r\nbody"}, false,
		[]step{{untilRegexp(`\r?\n\r?\n`, 0), "head: a\r\n\r\n", nil}, {exactly(4), "body", nil}}},
	{"regexp beyond the limit", nil, []string{"aaaaaab"}, false,
		[]step{{untilRegexp("b", 5), "", iostream.ErrTooLong}, {untilRegexp("b", 7), "aaaaaab", nil}}},
	{"regexp of no width takes nothing", nil, []string{"abc"}, false,
		[]step{{untilRegexp("x*", 0), "", nil}, {exactly(3), "abc", nil}}},
	{"exact bytes", nil, []string{"hel", "lo wor", "ld"}, false,
		[]step{{exactly(5), "hello", nil}, {exactly(0), "", nil}, {exactly(6), " world", nil}}},
	{"peek", nil, []string{"ab", "cd"}, true, []step{{peek(3), "abc", nil}, {peek(0), "", nil}, {exactly(2), "ab", nil},
		{peek(2), "cd", nil}, {peek(3), "", io.EOF}, {peek(-1), "", fs.ErrInvalid}, {exactly(2), "cd", nil}}},
	{"some", nil, []string{"hello"}, false, []step{{exactly(1), "h", nil}, {some(2), "el", nil}, {some(100), "lo", nil}}},
	{"into", nil, []string{"hello", "world!!"}, false,
		[]step{{into(10), "helloworld", nil}, {into(0), "", nil}, {someInto(10), "!!", nil}}},
	{"into from buffer and new", nil, []string{"ab", "cdef"}, false,
		[]step{{exactly(1), "a", nil}, {into(4), "bcde", nil}, {someInto(1), "f", nil}}},
	{"until close", nil, []string{"one", "two"}, true, []step{{exactly(2), "on", nil}, {untilClose(0), "etwo", nil}, {untilClose(0), "", nil}}},
	{"until close with too much", small, []string{"0123456789abcdefg"}, true,
		[]step{{untilClose(0), "", iostream.ErrTooLong}, {into(17), "0123456789abcdefg", nil}}},
	{"end within a message leaves the bytes", nil, []string{"abc"}, true,
		[]step{{until("\n", 0), "", io.EOF}, {exactly(10), "", io.EOF}, {exactly(2), "ab", nil}, {untilRegexp("c", 0), "c", nil}, {exactly(1), "", io.EOF}}},
	{"end within into tells what came", nil, []string{"abc"}, true, []step{{into(5), "abc", io.ErrUnexpectedEOF}, {someInto(5), "", io.EOF}}},
	{"nothing is read of a closed stream", nil, nil, true,
		[]step{{exactly(0), "", nil}, {into(0), "", nil}, {some(0), "", io.EOF}}},
	{"limit too large", small, []string{"a\n"}, false, []step{{until("\n", 17), "", iostream.ErrTooLong},
		{exactly(17), "", iostream.ErrTooLong}, {untilClose(17), "", iostream.ErrTooLong}, {until("\n", 0), "a\n", nil}}},
	{"bad arguments change nothing", nil, []string{"a\n"}, false, []step{{until("", 0), "", fs.ErrInvalid},
		{until("\n", -1), "", fs.ErrInvalid}, {exactly(-1), "", fs.ErrInvalid}, {some(-1), "", fs.ErrInvalid},
		{untilClose(-1), "", fs.ErrInvalid}, {untilRegexp("a", -1), "", fs.ErrInvalid}, {until("\n", 0), "a\n", nil}}},
}

// play runs a case; arrive delivers its input.
func (c readCase) play(t *testing.T, f face, s *iostream.Stream, arrive func()) {
	t.Helper()
	early := f.read(t, s, c.steps[0].op) // the first read is there before its input
	arrive()
	for i, step := range c.steps {
		pending := early
		if i > 0 {
			pending = f.read(t, s, step.op)
		}
		r := receive(t, pending)
		requireIs(t, r.err, step.err)
		require.Equal(t, step.want, r.data, step.op.name)
	}
}

func TestReadsOverDescriptors(t *testing.T) {
	eachInput(t, func(t *testing.T, network string) {
		eachFace(t, func(t *testing.T, f face) {
			for _, c := range readCases {
				t.Run(c.name, func(t *testing.T) {
					s, peer := pair(t, startLoop(t, ioloop.Config{}), network, c.config)
					c.play(t, f, s, func() {
						send(t, peer, c.arrive...)
						if c.eof {
							closeWrite(t, peer)
						}
					})
				})
			}
		})
	})
}

// TestReadsOverSimulation plays the same with every way of cutting the input
// up, plainly and in the manner of TLS.
func TestReadsOverSimulation(t *testing.T) {
	for _, record := range []int{0, 1000} {
		for _, chunk := range []int{0, 1, 3} {
			t.Run(fmt.Sprintf("record=%d chunk=%d", record, chunk), func(t *testing.T) {
				eachFace(t, func(t *testing.T, f face) {
					for _, c := range readCases {
						if chunk > 0 && (c.name == "some" || c.name == "into") {
							continue // what some is depends on the arrivals
						}
						t.Run(c.name, func(t *testing.T) {
							m := iostreamtest.NewWire(iostreamtest.Options{ReadSize: chunk, RecordSize: record})
							s, err := iostream.New(startLoop(t, ioloop.Config{}), m.Transport(), c.config)
							require.NoError(t, err)
							c.play(t, f, s, func() {
								for _, piece := range c.arrive {
									m.Arrive([]byte(piece))
								}
								if c.eof {
									m.FIN()
								}
							})
						})
					}
				})
			})
		}
	}
}

func TestNilArguments(t *testing.T) {
	s, _ := pair(t, startLoop(t, ioloop.Config{}), "tcp", nil)
	ctx := patient(t)
	_, err := s.Read(ctx, iostream.UntilRegexp(nil))
	requireIs(t, err, fs.ErrInvalid)
	requireIs(t, s.ReadFunc(iostream.UntilRegexp(nil), func([]byte, error) {}), fs.ErrInvalid)
	requireIs(t, s.ReadFunc(iostream.Until("\n"), nil), fs.ErrInvalid)
	requireIs(t, s.ReadAtLeastFunc(make([]byte, 1), 1, nil), fs.ErrInvalid)
	requireIs(t, s.Handle(iostream.Until("\n"), nil), fs.ErrInvalid)
	requireIs(t, s.Handle(iostream.Bytes(0), func([]byte, error) bool { return true }), fs.ErrInvalid)
	requireIs(t, s.WaitSentFunc(0, nil), fs.ErrInvalid)
	requireIs(t, s.WaitSentFunc(1, func(error) {}), fs.ErrInvalid)
	requireIs(t, s.WaitSent(ctx, -1), iostream.ErrInvalid)
	//lint:ignore SA1012 the misuse is the point
	_, err = s.Read(nil, iostream.Bytes(1))
	requireIs(t, err, iostream.ErrInvalid)
	requireIs(t, s.SetIdleTimeout(-1), fs.ErrInvalid)
}

func TestSecondReadIsRefusedAndTheFirstUnharmed(t *testing.T) {
	eachFace(t, func(t *testing.T, f face) {
		s, peer := pair(t, startLoop(t, ioloop.Config{}), "tcp", nil)
		first := f.read(t, s, until("\n", 0))
		awaitRead(t, s)
		for _, op := range []operation{until("x", 0), exactly(1), some(0), into(3), untilClose(0), untilRegexp("x", 0)} {
			eachFace(t, func(t *testing.T, g face) {
				requireIs(t, receive(t, g.read(t, s, op)).err, iostream.ErrReadPending)
			})
		}
		send(t, peer, "line\n")
		require.Equal(t, result{"line\n", 5, nil}, receive(t, first))
	})
}

func TestCancelledReadFreesTheSlotAndLosesNothing(t *testing.T) {
	ops := []operation{until("\n", 0), exactly(100), untilRegexp("z", 0), untilClose(0)}
	eachInput(t, func(t *testing.T, network string) {
		s, peer := pair(t, startLoop(t, ioloop.Config{}), network, nil)
		for _, op := range ops {
			ctx, cancel := context.WithCancel(context.Background())
			done := make(chan result, 1)
			go func() { done <- op.wait(ctx, s) }()
			send(t, peer, "ab")
			for s.Buffered() == 0 {
				onLoop(t, s.Loop(), func() {})
			}
			cancel()
			requireIs(t, receive(t, done).err, context.Canceled)
			require.Equal(t, "ab", receive(t, faces[0].read(t, s, exactly(2))).data)
		}
	})
}

func TestCancelledIntoReportsWhatItPlaced(t *testing.T) {
	s, peer := pair(t, startLoop(t, ioloop.Config{}), "tcp", nil)
	p := make([]byte, 4)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan result, 1)
	go func() {
		n, err := s.ReadAtLeast(ctx, p, len(p))
		done <- result{string(p[:n]), n, err}
	}()
	send(t, peer, "ab")
	for i := 0; i < 100; i++ {
		onLoop(t, s.Loop(), func() {})
	}
	cancel()
	r := receive(t, done)
	requireIs(t, r.err, context.Canceled)
	send(t, peer, "cdef")
	rest := receive(t, faces[0].read(t, s, exactly(6-r.n)))
	require.Equal(t, "abcdef", r.data+rest.data)
	require.Equal(t, r.data, string(p[:r.n]))
	require.Equal(t, make([]byte, 4-r.n), p[r.n:], "the buffer is not touched after the call")
}

func TestTaskDeadlineEndsARead(t *testing.T) {
	clock := new(ioloop.ManualClock)
	s, peer := pair(t, startLoop(t, ioloop.Config{Clock: clock}), "tcp", nil)
	waiting, done := make(chan struct{}), make(chan error, 2)
	require.NoError(t, s.Loop().Go(func(task *ioloop.Task) {
		view, cancel := task.WithTimeout(1000)
		defer cancel()
		close(waiting)
		_, err := s.Read(view, iostream.Until("\n"))
		done <- err
		_, err = s.Read(task, iostream.Until("\n")) // the task itself goes on
		done <- err
	}))
	receive(t, waiting)
	clock.Advance(1000)
	requireIs(t, receive(t, done), context.DeadlineExceeded)
	send(t, peer, "x\n")
	require.NoError(t, receive(t, done))
}

// TestTaskOfAnotherLoop: it may read, and goes on on its own loop.
func TestTaskOfAnotherLoop(t *testing.T) {
	const messages = 200
	l, other := startLoop(t, ioloop.Config{}), startLoop(t, ioloop.Config{})
	s, peer := pair(t, l, "tcp", nil)
	turns := 0 // of the other loop's, so nothing guards it
	done := make(chan error, 1)
	require.NoError(t, other.Go(func(task *ioloop.Task) {
		for range messages {
			line, err := s.Read(task, iostream.Until("\n"))
			if err == nil {
				_, err = s.Write(line)
			}
			if err != nil {
				done <- err
				return
			}
			turns++
		}
		done <- nil
	}))
	for range messages {
		onLoop(t, other, func() { turns++ })
		send(t, peer, "line\n")
		expect(t, peer, "line\n")
	}
	require.NoError(t, receive(t, done))
	onLoop(t, other, func() { require.Equal(t, 2*messages, turns) })
}

func TestContextDerivedFromATaskIsRefused(t *testing.T) {
	s, peer := pair(t, startLoop(t, ioloop.Config{}), "tcp", nil)
	send(t, peer, "data\n")
	done := make(chan error, 3)
	require.NoError(t, s.Loop().Go(func(task *ioloop.Task) {
		derived, cancel := context.WithCancel(task)
		defer cancel()
		_, err := s.Read(derived, iostream.Until("\n"))
		done <- err
		done <- s.Flush(derived)
		_, err = s.Read(task, iostream.Until("\n"))
		done <- err
	}))
	requireIs(t, receive(t, done), ioloop.ErrTaskContext)
	requireIs(t, receive(t, done), ioloop.ErrTaskContext)
	require.NoError(t, receive(t, done))
}

func TestMessages(t *testing.T) {
	s, peer := pair(t, startLoop(t, ioloop.Config{}), "tcp", nil)
	send(t, peer, "a\nbb\nccc\n")
	require.NoError(t, peer.Close())
	var got []string
	for message, err := range s.Messages(patient(t), iostream.Until("\n")) {
		require.NoError(t, err)
		got = append(got, string(message))
	}
	require.Equal(t, []string{"a\n", "bb\n", "ccc\n"}, got)
}

func TestMessagesEndWithinOne(t *testing.T) {
	s, peer := pair(t, startLoop(t, ioloop.Config{}), "tcp", nil)
	send(t, peer, "a\nbb")
	require.NoError(t, peer.Close())
	var last error
	n := 0
	for _, err := range s.Messages(patient(t), iostream.Until("\n")) {
		last = err
		n++
	}
	require.Equal(t, 2, n)
	requireIs(t, last, io.ErrUnexpectedEOF)
}

func TestHandle(t *testing.T) {
	eachInput(t, func(t *testing.T, network string) {
		s, peer := pair(t, startLoop(t, ioloop.Config{}), network, nil)
		got, ended := make(chan string, 10), make(chan error, 1)
		require.NoError(t, s.Handle(iostream.Until("\n"), func(line []byte, err error) bool {
			if err != nil {
				ended <- err
				return true // makes no difference
			}
			got <- string(line)
			if string(line) != "stop\n" {
				return true
			}
			s.Hold() // the stream goes on
			return false
		}))
		send(t, peer, "one\ntwo\nst", "op\nrest")
		for _, want := range []string{"one\n", "two\n", "stop\n"} {
			require.Equal(t, want, receive(t, got))
		}
		eventually(t, func() bool { return !s.Reading() })
		require.Equal(t, "rest", receive(t, faces[0].read(t, s, exactly(4))).data, "the slot is free again")
		require.NoError(t, s.Handle(iostream.Bytes(2), func(b []byte, err error) bool {
			if err != nil {
				ended <- err
			} else {
				got <- string(b)
			}
			return true
		}))
		send(t, peer, "abcde")
		require.Equal(t, "ab", receive(t, got))
		require.Equal(t, "cd", receive(t, got))
		require.NoError(t, peer.Close())
		requireIs(t, receive(t, ended), io.EOF)
	})
}

// TestCallbacksDoNotNest: a read that is satisfied at once still calls back
// after the function that asked for it has returned.
func TestCallbacksDoNotNest(t *testing.T) {
	s, peer := pair(t, startLoop(t, ioloop.Config{}), "tcp", nil)
	const lines = 5000
	depth, seen := 0, 0
	done := make(chan struct{})
	var next func([]byte, error)
	next = func(_ []byte, err error) {
		depth++
		defer func() { depth-- }()
		require.NoError(t, err)
		require.Equal(t, 1, depth)
		if seen++; seen == lines {
			close(done)
			return
		}
		require.NoError(t, s.ReadFunc(iostream.Until("\n"), next))
	}
	require.NoError(t, s.ReadFunc(iostream.Until("\n"), next))
	send(t, peer, strings.Repeat("x\n", lines))
	receive(t, done)
}

// TestManyTinyMessages: when a turn ends before all buffered messages have been
// handled, no more is received on top of them.
func TestManyTinyMessages(t *testing.T) {
	m := iostreamtest.NewWire(iostreamtest.Options{})
	m.Arrive([]byte(strings.Repeat("\n", 1<<20)))
	s, err := iostream.New(startLoop(t, ioloop.Config{}), m.Transport(), nil)
	require.NoError(t, err)
	seen, most := 0, 0
	done := make(chan struct{})
	require.NoError(t, s.Handle(iostream.Until("\n"), func(_ []byte, err error) bool {
		if seen%512 == 0 {
			most = max(most, s.Buffered())
		}
		if seen++; seen == 1<<20 {
			close(done)
		}
		return err == nil
	}))
	receive(t, done)
	require.LessOrEqual(t, most, 4*64<<10)
}

// TestReadOfNothingTouchesNothing: a read of no bytes is not mistaken for the
// end of the stream when input arrives before it is looked at.
func TestReadOfNothingTouchesNothing(t *testing.T) {
	s, peer := pair(t, startLoop(t, ioloop.Config{}), "tcp", nil)
	for range 200 {
		pending := faces[2].read(t, s, exactly(1))
		send(t, peer, "x")
		receive(t, pending)
		done := make(chan error, 1)
		onLoop(t, s.Loop(), func() { // in one turn: input is there, and so is the read
			_, _ = peer.Write([]byte("y"))
			_ = s.ReadAtLeastFunc([]byte{}, len([]byte{}), func(_ int, err error) { done <- err })
		})
		require.NoError(t, receive(t, done))
		require.Equal(t, "y", receive(t, faces[2].read(t, s, exactly(1))).data)
	}
}

func TestNothingIsReadWithoutAReader(t *testing.T) {
	m := iostreamtest.NewWire(iostreamtest.Options{})
	s, err := iostream.New(startLoop(t, ioloop.Config{}), m.Transport(), nil)
	require.NoError(t, err)
	m.Arrive([]byte("early"))
	quiet(t, s.Loop())
	require.Zero(t, m.State().Reads)
	require.Equal(t, "early", receive(t, faces[0].read(t, s, exactly(5))).data)
	reads := m.State().Reads
	m.Arrive([]byte("more"))
	m.Arrive([]byte("and more"))
	for range 3 {
		onLoop(t, s.Loop(), func() {})
	}
	require.Equal(t, reads, m.State().Reads)
	require.Equal(t, "moreand more", receive(t, faces[1].read(t, s, exactly(12))).data)
}

// TestResultOutlivesClose: closing does not recycle bytes that a caller holds.
func TestResultOutlivesClose(t *testing.T) {
	l := startLoop(t, ioloop.Config{})
	s, peer := pair(t, l, "tcp", nil)
	send(t, peer, strings.Repeat("k", 1000)+"\n")
	kept, err := s.Read(patient(t), iostream.Until("\n"))
	require.NoError(t, err)
	s.Abort(nil)
	require.NoError(t, s.WaitClosed(patient(t)))
	for range 20 { // others use buffers of the size
		o, other := pair(t, l, "tcp", nil)
		send(t, other, strings.Repeat("z", 1000)+"\n")
		_, err := o.Read(patient(t), iostream.Until("\n"))
		require.NoError(t, err)
		require.NoError(t, o.Close())
	}
	require.Equal(t, strings.Repeat("k", 1000)+"\n", string(kept))
}

func TestManyMixedReads(t *testing.T) {
	eachInput(t, func(t *testing.T, network string) {
		s, peer := pair(t, startLoop(t, ioloop.Config{}), network, nil)
		data := pattern(1 << 20)
		go func() {
			for i := 0; i < len(data); {
				n := min(1+i%5000, len(data)-i)
				if _, err := peer.Write(data[i : i+n]); err != nil {
					return
				}
				i += n
			}
			_ = peer.(interface{ CloseWrite() error }).CloseWrite()
		}()
		var got []byte
		ops := []operation{exactly(7), some(1000), into(999), someInto(77), until("a", 0), exactly(1000)}
		for i := 0; ; i++ {
			r := ops[i%len(ops)].wait(patient(t), s)
			got = append(got, r.data...)
			if r.err != nil {
				require.True(t, errors.Is(r.err, io.EOF) || errors.Is(r.err, io.ErrUnexpectedEOF), "%v", r.err)
				rest, err := s.Read(patient(t), iostream.UntilClose())
				require.NoError(t, err)
				got = append(got, rest...)
				break
			}
		}
		require.Equal(t, string(data), string(got))
	})
}

// pattern returns n bytes that differ from their neighbours.
func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte('a' + (i+i/251)%26)
	}
	return b
}
