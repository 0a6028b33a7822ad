//go:build unix || windows

package iostream_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/iostreamtest"
	"github.com/stretchr/testify/require"
)

// scanned is what a bufio.Scanner makes of text.
func scanned(text string, fn bufio.SplitFunc) (tokens []string, err error) {
	scanner := bufio.NewScanner(strings.NewReader(text))
	scanner.Split(fn)
	for scanner.Scan() {
		tokens = append(tokens, scanner.Text())
	}
	return tokens, scanner.Err()
}

var errSplit = errors.New("no such token")

// TestSplitAsScanner compares Handle and Messages with a bufio.Scanner.
func TestSplitAsScanner(t *testing.T) {
	final := func(last []byte) bufio.SplitFunc {
		return func(data []byte, atEOF bool) (int, []byte, error) {
			advance, token, err := bufio.ScanLines(data, atEOF)
			if string(token) == "stop" {
				return advance, last, bufio.ErrFinalToken
			}
			return advance, token, err
		}
	}
	splits := map[string]bufio.SplitFunc{
		"lines": bufio.ScanLines, "words": bufio.ScanWords, "runes": bufio.ScanRunes, "bytes": bufio.ScanBytes,
		"final": final([]byte("the last")), "final without token": final(nil),
		"error": func(data []byte, atEOF bool) (int, []byte, error) {
			if bytes.HasPrefix(data, []byte("w")) {
				return 0, nil, errSplit
			}
			return bufio.ScanLines(data, atEOF)
		},
	}
	texts := []string{"", "\n", "a", "a\n", "\n\n\nab\n\nc", "  some words \n and\tmore  ", "aé\xff\xe4", "one\nstop\n", "stop", "one\nstop\nmore\nstop\n", "x\nw\ny\n",
		strings.Repeat(" ", 3000) + "x"}
	for name, fn := range splits {
		for _, text := range texts {
			eachSize(t, func(t *testing.T, o iostreamtest.Options) {
				want, wantErr := scanned(text, fn)
				if name == "error" && o.ReadSize == 1 {
					t.Skip("sees the beginning of each line by itself")
				}
				p := newPuppet(t, o, nil)
				var got []string
				var end error
				require.NoError(t, p.Handle(iostream.Split(fn), func(token []byte, err error) bool {
					if end = err; err == nil {
						got = append(got, string(token))
					}
					return true
				}))
				p.wire.Arrive([]byte(text))
				p.wire.FIN()
				require.NoError(t, p.world.Settle())
				require.Equal(t, want, got, "%s of %q", name, text)
				if wantErr == nil {
					wantErr = io.EOF
				}
				requireIs(t, end, wantErr)

				p = newPuppet(t, o, nil)
				p.wire.Arrive([]byte(text))
				p.wire.FIN()
				got = nil
				require.NoError(t, p.world.Loop.Go(func(task *ioloop.Task) {
					for token, err := range p.Messages(task, iostream.Split(fn)) {
						if err != nil {
							require.NotErrorIs(t, err, io.EOF)
							break
						}
						got = append(got, string(token))
					}
				}))
				require.NoError(t, p.world.Settle())
				require.Equal(t, want, got, "messages: %s of %q", name, text)
			})
		}
	}
}

// TestSplitLies: a SplitFunc that does what it must not fails the read, and
// nothing else.
func TestSplitLies(t *testing.T) {
	outside := []byte("outside")
	tests := []struct {
		name string
		fn   bufio.SplitFunc
		told []string
	}{
		{"beyond", func(b []byte, _ bool) (int, []byte, error) { return len(b) + 1, b, nil }, []string{", " + bufio.ErrAdvanceTooFar.Error()}},
		{"negative", func(b []byte, _ bool) (int, []byte, error) { return -1, b, nil }, []string{", " + bufio.ErrNegativeAdvance.Error()}},
		{"error", func(b []byte, _ bool) (int, []byte, error) { return 1, b, errSplit }, []string{", no such token"}},
		{"outside", func(b []byte, _ bool) (int, []byte, error) { return len(b), outside, nil }, []string{"outside"}},
		{"ahead", func(b []byte, _ bool) (int, []byte, error) {
			if len(b) < 4 {
				return len(b), b, nil
			}
			return 2, b, nil
		}, []string{"abcd", "cd"}},
		{"too long", func(b []byte, _ bool) (int, []byte, error) { return len(b), make([]byte, 101), nil }, []string{", " + iostream.ErrTooLong.Error()}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := newPuppet(t, iostreamtest.Options{}, &iostream.Config{ReadLimit: 100})
			require.NoError(t, p.Handle(iostream.Split(test.fn), func(b []byte, err error) bool { p.tell(b, err); return true }))
			p.arrive("abcd", test.told...)
		})
	}
	t.Run("no progress", func(t *testing.T) {
		p := newPuppet(t, iostreamtest.Options{}, nil)
		var last error
		n := 0
		require.NoError(t, p.Handle(iostream.Split(func(b []byte, _ bool) (int, []byte, error) { return 0, []byte{}, nil }),
			func(_ []byte, err error) bool { n++; last = err; return true }))
		p.wire.Arrive([]byte("x"))
		require.NoError(t, p.world.Settle())
		requireIs(t, last, io.ErrNoProgress)
		require.Equal(t, 102, n)
	})
	requireIs(t, newPuppet(t, iostreamtest.Options{}, nil).ReadFunc(iostream.Split(nil), func([]byte, error) {}), iostream.ErrInvalid)
}

// TestSplitCrashes: a SplitFunc that panics or ends its goroutine fails the
// stream, whoever has called it, and leaves no lock behind.
func TestSplitCrashes(t *testing.T) {
	var panicked *ioloop.PanicError
	crashes := map[string]func(){"panic": func() { panic("oops") }, "goexit": runtime.Goexit}
	for name, crash := range crashes {
		for _, late := range []bool{false, true} { // at the first call or the second
			f := iostream.Split(func(b []byte, _ bool) (int, []byte, error) {
				if !late || bytes.HasPrefix(b, []byte("2")) {
					crash()
				}
				return bufio.ScanLines(b, false)
			})
			check := func(t *testing.T, err error) {
				t.Helper()
				if name == "panic" {
					require.ErrorAs(t, err, &panicked)
				} else {
					require.ErrorIs(t, err, ioloop.ErrGoexit)
				}
			}
			styles := map[string]func(p *puppet) (last func() error){
				"callback": func(p *puppet) func() error {
					var last error
					require.NoError(p.t, p.Handle(f, func(_ []byte, err error) bool { last = err; return true }))
					return func() error { return last }
				},
				"task": func(p *puppet) func() error {
					var last error
					require.NoError(p.t, p.world.Loop.Go(func(task *ioloop.Task) {
						for last == nil {
							_, last = p.Read(task, f)
						}
					}))
					return func() error { return last }
				},
				"goroutine": func(p *puppet) func() error {
					ended, last := make(chan struct{}), error(nil)
					go func() {
						defer close(ended)
						for last == nil {
							_, last = p.Read(context.Background(), f)
						}
					}()
					return func() error {
						for over := false; !over; {
							require.NoError(p.t, p.world.Settle())
							select {
							case <-ended:
								over = true
							default:
								runtime.Gosched()
							}
						}
						return last
					}
				},
			}
			for style, start := range styles {
				for _, before := range []bool{false, true} { // is the input there when the read begins?
					t.Run(fmt.Sprint(name, " ", style, " late ", late, " before ", before), func(t *testing.T) {
						p := newPuppet(t, iostreamtest.Options{}, nil)
						if before {
							p.wire.Arrive([]byte("1\n2\n"))
							require.NoError(t, p.ReadFunc(iostream.Peek(4), func(b []byte, err error) { require.NoError(t, err) }))
							require.NoError(t, p.world.Settle())
						}
						last := start(p)
						if !before {
							p.wire.Arrive([]byte("1\n2\n"))
						}
						require.NoError(t, p.world.Settle())
						if err := last(); err != nil || name == "panic" || style == "callback" {
							check(t, err) // whose goroutine has ended is told nothing
						}
						require.NoError(t, p.world.Settle())
						require.Error(t, p.Err())
						check(t, p.Err())
						require.Equal(t, 1, p.wire.State().Closes)
					})
				}
			}
		}
	}
}

// TestNoProgress: messages that take nothing come to an end in every style.
func TestNoProgress(t *testing.T) {
	empty := iostream.Split(func(b []byte, _ bool) (int, []byte, error) { return 0, []byte{}, nil })
	tests := map[string]struct {
		f    iostream.Frame
		want int
	}{
		"split":  {empty, 102},
		"regexp": {iostream.UntilRegexp(regexp.MustCompile(`x*`)), 2},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var counts []int
			var last error
			count := func(_ []byte, err error) bool {
				counts[len(counts)-1]++
				last = err
				return err == nil && counts[len(counts)-1] < 1000
			}
			p := newPuppet(t, iostreamtest.Options{}, nil)
			p.wire.Arrive([]byte("y"))
			counts = append(counts, 0)
			require.NoError(t, p.Handle(test.f, count))
			require.NoError(t, p.world.Settle())
			requireIs(t, last, io.ErrNoProgress)

			p = newPuppet(t, iostreamtest.Options{}, nil)
			p.wire.Arrive([]byte("y"))
			counts = append(counts, 0)
			require.NoError(t, p.world.Loop.Go(func(task *ioloop.Task) {
				for msg, err := range p.Messages(task, test.f) {
					if !count(msg, err) {
						break
					}
				}
			}))
			require.NoError(t, p.world.Settle())
			requireIs(t, last, io.ErrNoProgress)
			require.Equal(t, []int{test.want, test.want}, counts)
		})
	}
	// Only those in a row count.
	p, calls := newPuppet(t, iostreamtest.Options{}, nil), 0
	p.wire.Arrive([]byte("xyz"))
	p.wire.FIN()
	f := iostream.Split(func(b []byte, _ bool) (int, []byte, error) {
		if calls++; calls%70 == 0 {
			return min(1, len(b)), []byte{}, nil
		}
		return 0, []byte{}, nil
	})
	require.NoError(t, p.world.Loop.Go(func(task *ioloop.Task) {
		for _, err := range p.Messages(task, f) {
			p.tell(nil, err)
		}
	}))
	require.NoError(t, p.world.Settle())
	require.Len(t, p.told, 3*70+102)
	p, calls = newPuppet(t, iostreamtest.Options{}, nil), 0
	p.wire.Arrive([]byte("xyz"))
	require.NoError(t, p.Handle(f, func(_ []byte, err error) bool { p.tell(nil, err); return err == nil }))
	require.NoError(t, p.world.Settle())
	require.Len(t, p.told, 3*70)
	// Empty messages that take input do not count.
	for input, f := range map[string]iostream.Frame{"\x00": iostream.LengthPrefix(1, nil), "\n": iostream.Split(bufio.ScanLines)} {
		p := newPuppet(t, iostreamtest.Options{}, nil)
		p.wire.Arrive([]byte(strings.Repeat(input, 300)))
		p.wire.FIN()
		n := 0
		require.NoError(t, p.world.Loop.Go(func(task *ioloop.Task) {
			for _, err := range p.Messages(task, f) {
				require.NoError(t, err)
				n++
			}
		}))
		require.NoError(t, p.world.Settle())
		require.Equal(t, 300, n)
	}
}

// TestSplitCalls: the function is called once for each arrival, whoever asks.
func TestSplitCalls(t *testing.T) {
	for _, style := range []string{"callback", "task"} {
		p := newPuppet(t, iostreamtest.Options{ReadSize: 1}, nil)
		var calls []string
		f := iostream.Split(func(b []byte, atEOF bool) (int, []byte, error) {
			calls = append(calls, fmt.Sprint(string(b), atEOF))
			return bufio.ScanLines(b, atEOF)
		})
		if style == "callback" {
			require.NoError(t, p.ReadFunc(f, p.tell))
		} else {
			require.NoError(t, p.world.Loop.Go(func(task *ioloop.Task) { p.tell(p.Read(task, f)) }))
		}
		p.arrive("abc\nd", "abc")
		require.Equal(t, []string{"afalse", "abfalse", "abcfalse", "abc\nfalse"}, calls, style)
	}
}

// TestSplitOfABrokenStream: what a reset has cut off is no token.
func TestSplitOfABrokenStream(t *testing.T) {
	p := newPuppet(t, iostreamtest.Options{}, nil)
	require.NoError(t, p.Handle(iostream.Split(bufio.ScanLines), func(b []byte, err error) bool { p.tell(b, err); return true }))
	p.arrive("one\ntw", "one")
	p.wire.Reset(errSplit)
	p.expect(", no such token")

	p = newPuppet(t, iostreamtest.Options{}, nil)
	require.NoError(t, p.Handle(iostream.Split(bufio.ScanLines), func(b []byte, err error) bool { p.tell(b, err); return true }))
	p.wire.Arrive([]byte("one\ntw"))
	p.wire.FailReads(io.ErrUnexpectedEOF)
	p.expect("one", ", "+io.ErrUnexpectedEOF.Error())
}

func TestLengthPrefix(t *testing.T) {
	big, little := binary.ByteOrder(binary.BigEndian), binary.ByteOrder(binary.LittleEndian)
	tests := []struct {
		name  string
		f     iostream.Frame
		input string
		told  []string
	}{
		{"1", iostream.LengthPrefix(1, nil), "\x03abc\x00\x01x", []string{"abc", "", "x"}},
		{"2 big", iostream.LengthPrefix(2, big), "\x00\x03abc\x00\x00", []string{"abc", ""}},
		{"2 little", iostream.LengthPrefix(2, little), "\x03\x00abc", []string{"abc"}},
		{"3 big", iostream.LengthPrefix(3, big), "\x00\x00\x01a", []string{"a"}},
		{"3 little", iostream.LengthPrefix(3, little), "\x01\x00\x00a", []string{"a"}},
		{"4 native", iostream.LengthPrefix(4, binary.NativeEndian), string(binary.NativeEndian.AppendUint32(nil, 2)) + "ab", []string{"ab"}},
		{"8", iostream.LengthPrefix(8, big), "\x00\x00\x00\x00\x00\x00\x00\x02ab", []string{"ab"}},
		{"kept", iostream.LengthPrefix(2, big).KeepHeader(), "\x00\x01a", []string{"\x00\x01a"}},
		{"counted", iostream.LengthPrefix(2, big).CountsHeader(), "\x00\x03a\x00\x02", []string{"a", ""}},
		{"kept and counted", iostream.LengthPrefix(2, big).CountsHeader().KeepHeader(), "\x00\x03a", []string{"\x00\x03a"}},
		{"counts less than itself", iostream.LengthPrefix(2, big).CountsHeader(), "\x00\x01a", []string{", " + iostream.ErrMalformed.Error()}},
		{"at the limit", iostream.LengthPrefix(1, nil).Limit(3), "\x03abc", []string{"abc"}},
		{"beyond the limit", iostream.LengthPrefix(1, nil).Limit(3), "\x04", []string{", " + iostream.ErrTooLong.Error()}},
		{"kept beyond the limit", iostream.LengthPrefix(1, nil).KeepHeader().Limit(3), "\x03", []string{", " + iostream.ErrTooLong.Error()}},
		{"4 GiB", iostream.LengthPrefix(4, big), "\xff\xff\xff\xff", []string{", " + iostream.ErrTooLong.Error()}},
		{"2^64", iostream.LengthPrefix(8, big), "\xff\xff\xff\xff\xff\xff\xff\xff", []string{", " + iostream.ErrTooLong.Error()}},
		{"varint", iostream.Varint(), "\x03abc\x00\x80\x01" + strings.Repeat("x", 128), []string{"abc", "", strings.Repeat("x", 128)}},
		{"varint kept", iostream.Varint().KeepHeader(), "\x01a", []string{"\x01a"}},
		{"varint without end", iostream.Varint(), strings.Repeat("\xff", 11), []string{", " + iostream.ErrTooLong.Error()}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			eachSize(t, func(t *testing.T, o iostreamtest.Options) {
				p := newPuppet(t, o, nil)
				require.NoError(t, p.Handle(test.f, func(b []byte, err error) bool { p.tell(b, err); return err == nil }))
				p.arrive(test.input, test.told...)
			})
		})
	}
	p := newPuppet(t, iostreamtest.Options{}, nil)
	for _, f := range []iostream.Frame{iostream.LengthPrefix(0, big), iostream.LengthPrefix(5, big), iostream.LengthPrefix(-1, big),
		iostream.LengthPrefix(257, big), iostream.LengthPrefix(2, nil), iostream.Varint().CountsHeader(), iostream.Until("x").KeepHeader()} {
		requireIs(t, p.ReadFunc(f, p.tell), iostream.ErrInvalid)
	}
}

// TestAnnouncedAllocatesNothing: what a header announces is not believed before
// it comes.
func TestAnnouncedAllocatesNothing(t *testing.T) {
	p := newPuppet(t, iostreamtest.Options{}, &iostream.Config{ReadLimit: iostream.MaxReadLimit})
	require.NoError(t, p.ReadFunc(iostream.LengthPrefix(4, binary.BigEndian), p.tell))
	p.arrive("\x3f\xff\xff\xff" + strings.Repeat("x", 1000))
	require.Less(t, iostream.InputCapacity(p.Stream), 128<<10)
}

func TestFramesAllocateNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	p := newPuppet(t, iostreamtest.Options{}, nil)
	p.wire.Arrive([]byte(strings.Repeat("a\n\x01b", 2000)))
	_, err := p.Read(context.Background(), iostream.Peek(0))
	require.NoError(t, err)
	literal, set := iostream.UntilRegexp(regexp.MustCompile(`b`)), iostream.UntilRegexp(regexp.MustCompile(`[bc]`))
	require.NoError(t, p.ReadFunc(iostream.Bytes(1), func([]byte, error) {}))
	require.NoError(t, p.world.Settle())
	require.Zero(t, testing.AllocsPerRun(500, func() {
		_, err1 := p.Read(context.Background(), iostream.Split(bufio.ScanLines))
		_, err2 := p.Read(context.Background(), iostream.LengthPrefix(1, nil))
		_, err3 := p.Read(context.Background(), iostream.Bytes(1).Limit(10))
		if err1 != nil || err2 != nil || err3 != nil {
			t.Fatal(err1, err2, err3)
		}
	}))
	for f, want := range map[*iostream.Frame]float64{&literal: 0, &set: 1} { // one by FindIndex
		require.LessOrEqual(t, testing.AllocsPerRun(100, func() {
			if _, err := p.Read(context.Background(), *f); err != nil {
				t.Fatal(err)
			}
		}), want)
	}
}

// What a function skips without a token is gone, and it is not asked about nothing; how far
// it says that the last token goes need not be so.
func TestSplitSkips(t *testing.T) {
	skip := func(final int) bufio.SplitFunc {
		return func(b []byte, atEOF bool) (int, []byte, error) {
			require.NotEmpty(t, b)
			switch b[0] {
			case '#':
				return 1, nil, nil
			case '!':
				return final, []byte("last"), bufio.ErrFinalToken
			}
			return bufio.ScanLines(b, atEOF)
		}
	}
	for _, final := range []int{-1, 1, 100} {
		p := newPuppet(t, iostreamtest.Options{}, nil)
		require.NoError(t, p.Handle(iostream.Split(skip(final)), func(msg []byte, err error) bool {
			require.Equal(t, len(msg), cap(msg))
			p.tell(msg, err)
			return err == nil
		}))
		p.arrive("line\n#other\n", "line", "other")
		p.arrive("#")
		p.arrive("last but one\n#!", "last but one", "last", ", EOF")
	}
}
