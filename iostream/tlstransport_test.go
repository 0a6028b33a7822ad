package iostream

import (
	"net"
	"testing"
	"unsafe"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/poller"
	"github.com/stretchr/testify/require"
)

// What TLS waits for depends on how far it is: whoever listened for the wrong thing would wait
// for ever, or never sleep.
func TestWhatTLSWaitsFor(t *testing.T) {
	const none, r, w = poller.Interest(0), poller.Readable, poller.Writable
	for name, test := range map[string]struct {
		t           tlsTransport
		read, write poller.Interest
	}{
		"ready":                   {tlsTransport{ready: true}, r, w},
		"many answers":            {tlsTransport{ready: true, answers: maxAnswers + 1}, w, w},
		"failed":                  {tlsTransport{failed: true}, r, w},
		"handshake":               {tlsTransport{hs: new(handshake)}, r, r},
		"handshake that sends":    {tlsTransport{hs: new(handshake), tx: []byte("x")}, r, w},
		"handshake off the loop":  {tlsTransport{hs: &handshake{running: true}}, none, none},
		"failed with its answers": {tlsTransport{failed: true, ready: true, answers: maxAnswers + 1}, r, w},
	} {
		read, write := test.t.Want()
		require.Equal(t, test.read, read, name)
		require.Equal(t, test.write, write, name)
	}
}

// Bytes count as sent with the record that has them. Where there are more records than marks,
// the last ones count together.
func TestUnsentOfManyRecords(t *testing.T) {
	var transport tlsTransport
	for i := 1; i <= 6; i++ {
		transport.mark(10*i, i)
	}
	for _, test := range []struct{ done, unsent int }{
		{0, 21}, {9, 21}, {10, 20}, {29, 18}, {30, 15}, {40, 15}, {59, 15}, {60, 0},
	} {
		transport.txDone = test.done
		require.Equal(t, test.unsent, transport.Unsent(), test.done)
	}
}

// fullAfter is a transport that takes everything, and says that it could take no more.
type fullAfter struct{ source }

func (f fullAfter) Write(bufs [][]byte) (int, error) {
	n, _ := f.source.Write(bufs)
	return n, ErrWouldBlock
}

// What is out is out, whether more would be taken or not.
func TestFlushThatFillsTheTransport(t *testing.T) {
	transport := tlsTransport{lower: fullAfter{}, ready: true, tx: []byte("record")}
	require.NoError(t, transport.Flush())
	require.Nil(t, transport.tx)
}

// Close gives back all buffers, but not those that a handshake on a goroutine has.
func TestCloseOfTLSGivesItsBuffersBack(t *testing.T) {
	l, err := ioloop.New(ioloop.Config{})
	require.NoError(t, err)
	defer l.Close()
	for name, hs := range map[string]*handshake{"ready": nil, "suspended": {}, "running": {running: true}} {
		if hs != nil {
			hs.timer = l.AfterFunc(0, func() {})
		}
		received := getBuffer(minPooled)[:minPooled]
		transport := tlsTransport{lower: source{}, hs: hs, rx: received, rxBuffer: received, tx: getBuffer(minPooled)}
		require.NoError(t, transport.Close(l))
		kept := name == "running"
		require.Equal(t, kept, transport.rx != nil, name)
		require.Equal(t, kept, transport.rxBuffer != nil, name)
		require.Equal(t, kept, transport.tx != nil, name)
	}
}

// The buffer of what came early serves others once TLS has read it, and what was written before
// is in a buffer that will.
func TestBuffersFromBeforeTLS(t *testing.T) {
	early, backlog := false, false
	for range 20 {
		b := getBuffer(minPooled)
		transport := tlsTransport{lower: &source{"x"}, ready: true, rxBuffer: b}
		require.NoError(t, transport.receive())
		early = early || unsafe.SliceData(b) == unsafe.SliceData(getBuffer(minPooled))

		out := new(output)
		out.append(make([]byte, maxPooled/2-1))
		out.append([]byte("xy"))
		b = getBuffer(maxPooled)
		putBuffer(b)
		transport = tlsTransport{}
		transport.takeBacklog(out)
		require.Equal(t, maxPooled/2+1, transport.Unsent())
		backlog = backlog || unsafe.SliceData(b) == unsafe.SliceData(transport.tx)
	}
	require.True(t, early)
	require.True(t, backlog)
}

// quietSource is a transport of which nothing comes.
type quietSource struct{ source }

func (quietSource) Read([]byte) (int, error) { return 0, ErrWouldBlock }

// While nothing comes, TLS has no buffer for it.
func TestTLSThatWaitsHasNoBuffer(t *testing.T) {
	transport := tlsTransport{lower: quietSource{}}
	require.Equal(t, ErrWouldBlock, transport.receive())
	require.Nil(t, transport.rxBuffer)
}

// addressedSource is a connection that knows its addresses.
type addressedSource struct{ source }

func (addressedSource) LocalAddr() net.Addr  { return &net.TCPAddr{Port: 1} }
func (addressedSource) RemoteAddr() net.Addr { return &net.TCPAddr{Port: 2} }

// TLS has the addresses of what it stands on, if that has any.
func TestAddressesUnderTLS(t *testing.T) {
	transport := &tlsTransport{lower: addressedSource{}}
	require.Equal(t, ":1", transport.LocalAddr().String())
	require.Equal(t, ":2", transport.RemoteAddr().String())
	transport.lower = source{}
	require.Nil(t, transport.LocalAddr())
	require.Nil(t, transport.RemoteAddr())
}

// Once somebody has had the descriptor, closing may block as SO_LINGER says, and is an ordinary
// call: under TLS, and where the peer has a name, too.
func TestCloseOfASocketThatMayLinger(t *testing.T) {
	for _, secured := range []bool{false, true} {
		for prompt, ordinary := range map[Transport]Transport{
			new(promptTransport): new(socketTransport),
			new(addressedPrompt): new(addressedSocket),
			new(socketTransport): new(socketTransport),
		} {
			s := &Stream{transport: prompt}
			if secured {
				s.transport = &tlsTransport{lower: prompt}
			}
			s.mayLinger()
			if secured {
				require.IsType(t, ordinary, s.transport.(*tlsTransport).lower)
			} else {
				require.IsType(t, ordinary, s.transport)
			}
		}
	}
}

// A write of nothing leaves a stream without a queue.
func TestWriteOfNothingQueuesNothing(t *testing.T) {
	s := stillStream(t)
	s.set(attached | dirty)
	n, err := s.Write(nil)
	require.NoError(t, err)
	require.Zero(t, n)
	require.Nil(t, s.out)
}
