package iostream

import (
	"bufio"
	"io"
	"net"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"unsafe"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/stretchr/testify/require"
)

// stillStream is a stream of a loop that does not run.
func stillStream(t *testing.T) *Stream {
	l, err := ioloop.New(ioloop.Config{})
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	s, err := New(l, source{}, nil)
	require.NoError(t, err)
	return s
}

// The read of messages that their functions set aside is forgotten when it is back.
func TestSetAsideIsForgotten(t *testing.T) {
	s, again := new(Stream), false
	for range 20 {
		s.op = readOp{kind: readUntil, delim: "\n", running: true}
		s.setAside()
		require.Equal(t, readOp{}, s.op)
		aside := s.details.aside
		s.takeBack()
		require.Equal(t, readUntil, s.op.kind)
		require.Equal(t, readOp{}, *aside)
		again = again || asides.Get() == any(aside)
	}
	require.True(t, again)
}

// bufferOf notes what it is to read into.
type bufferOf struct {
	io.Reader
	b []byte
}

func (r *bufferOf) Read(p []byte) (int, error) {
	r.b = p
	return r.Reader.Read(p)
}

// ReadFrom gives back what it has read into.
func TestReadFromGivesItsBufferBack(t *testing.T) {
	s := stillStream(t)
	again := false
	for range 20 {
		r := bufferOf{Reader: strings.NewReader("text")}
		n, err := s.ReadFrom(&r)
		require.NoError(t, err)
		require.EqualValues(t, 4, n)
		again = again || unsafe.SliceData(r.b) == unsafe.SliceData(getBuffer(maxRead))
	}
	require.True(t, again)
}

// Close ends a read that waits as it is: it calls no SplitFunc, which might end the goroutine
// that closes.
func TestCloseCallsNoSplitFunc(t *testing.T) {
	s, calls := stillStream(t), 0
	result := make(chan error, 1)
	go func() {
		_, err := s.Read(t.Context(), Split(func(b []byte, atEOF bool) (int, []byte, error) {
			calls++
			return bufio.ScanLines(b, atEOF)
		}))
		result <- err
	}()
	for !s.Reading() {
		runtime.Gosched()
	}
	s.mu.Lock()
	s.in.data = append(getBuffer(10), "line\n"...) // the loop has not got round to it
	s.mu.Unlock()
	require.NoError(t, s.Close())
	require.ErrorIs(t, <-result, net.ErrClosed)
	require.Zero(t, calls)
	require.Equal(t, 5, s.Buffered())
}

// TLS gives back what it has received into, and what it has encrypted into.
func TestTLSGivesItsBuffersBack(t *testing.T) {
	received, encrypted := false, false
	for range 20 {
		b := getBuffer(maxRead)
		s := tlsTransport{rxBuffer: b}
		s.releaseInput()
		received = received || unsafe.SliceData(b) == unsafe.SliceData(getBuffer(maxRead))
		b = getBuffer(maxRead)
		s = tlsTransport{tx: b}
		s.releaseOutput()
		encrypted = encrypted || unsafe.SliceData(b) == unsafe.SliceData(getBuffer(maxRead))
	}
	require.True(t, received)
	require.True(t, encrypted)
}

// A protocol that changes its frame with each message takes no memory for that.
func TestSetFrameUsesWhatTheLastFrameHad(t *testing.T) {
	s := stillStream(t)
	expression, split := UntilRegexp(regexp.MustCompile("x")), Split(bufio.ScanLines)
	require.NoError(t, s.Handle(expression, func([]byte, error) bool { return true }))
	s.Pause()
	scan := s.details.scan
	require.NoError(t, s.SetFrame(expression))
	require.Same(t, scan, s.details.scan)
	require.NoError(t, s.SetFrame(split))
	splitter := s.details.split
	require.NoError(t, s.SetFrame(split))
	require.Same(t, splitter, s.details.split)
}
