package iostreamtest_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/eddyloop/eddy/internal/leaktest"
	"github.com/eddyloop/eddy/internal/streamhook"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/iostreamtest"
	"github.com/stretchr/testify/require"
)

// storm is one stream on a running loop that goroutines read, write and close
// at once. What comes of it depends on the scheduler, so its rules say what may
// come: they hold for every order.
type storm struct {
	t      *testing.T
	wire   *iostreamtest.Wire
	stream *iostream.Stream
	wg     sync.WaitGroup

	read    []byte // by the reader
	marks   []int64
	waits   []error // for the marks
	written atomic.Int64
	told    atomic.Int32 // calls of OnClosed
	gone    chan error   // from OnClosed
}

// TestClosesFromEverywhere has every kind of close race with every kind of
// operation.
func TestClosesFromEverywhere(t *testing.T) {
	leaktest.Check(t)
	rounds := 2000
	if testing.Short() || raceEnabled {
		rounds = 300
	}
	l, err := ioloop.New(ioloop.Config{Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	ended := make(chan error, 1)
	go func() { ended <- l.Run(context.Background()) }()
	defer func() {
		require.NoError(t, l.Close())
		require.NoError(t, <-ended)
	}()
	for seed := range rounds {
		playStorm(t, l, uint64(seed))
		if t.Failed() {
			t.Logf("round %d", seed)
			break
		}
	}
}

// TestCancelRacesWithArrival: whether a read is cancelled or completed first,
// its bytes are delivered once.
func TestCancelRacesWithArrival(t *testing.T) {
	leaktest.Check(t)
	rounds := 20_000
	if testing.Short() || raceEnabled {
		rounds = 2_000
	}
	l, err := ioloop.New(ioloop.Config{})
	require.NoError(t, err)
	ended := make(chan error, 1)
	go func() { ended <- l.Run(context.Background()) }()
	wire := iostreamtest.NewWire(iostreamtest.Options{})
	s, err := iostream.New(l, wire.Transport(), nil)
	require.NoError(t, err)
	patient, enough := context.WithTimeout(context.Background(), 2*patience)
	defer enough()
	read, canceled := 0, 0
	for i := range rounds {
		ctx, cancel := context.WithCancel(context.Background())
		arrival := inbound[i : i+1]
		go wire.Arrive([]byte(arrival))
		go cancel()
		data, err := s.Read(ctx, iostream.Bytes(1))
		if err != nil {
			canceled++
			require.ErrorIs(t, err, context.Canceled)
			data, err = s.Read(patient, iostream.Bytes(1))
			require.NoError(t, err)
		}
		require.Equal(t, arrival, string(data))
		read++
	}
	t.Logf("%d of %d reads were cancelled", canceled, read)
	require.NoError(t, s.Close())
	require.NoError(t, l.Close())
	require.NoError(t, <-ended)
}

func playStorm(t *testing.T, l *ioloop.Loop, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 2))
	o := iostreamtest.Options{Seed: uint64(r.IntN(3)), ReadSize: r.IntN(4), Window: r.IntN(200)}
	if r.IntN(3) == 0 {
		o.RecordSize, o.Handshake = 1+r.IntN(20), r.IntN(2) == 0
	}
	st := &storm{t: t, wire: iostreamtest.NewWire(o), gone: make(chan error, 2)}
	config := &iostream.Config{
		CloseTimeout: 2 * time.Millisecond,
		OnClosed:     func(_ *iostream.Stream, err error) { st.gone <- err },
	}
	var err error
	st.stream, err = iostream.New(l, st.wire.Transport(), config)
	require.NoError(t, err)
	_ = st.stream.WaitClosedFunc(func(error) { st.told.Add(1) })
	chunk := r.IntN(6)
	st.wg.Go(func() { st.reader(chunk) })
	st.wg.Go(st.writer)
	st.wg.Go(st.intruder)
	st.wg.Go(func() { // the peer
		for i := range 20 {
			st.wire.Arrive([]byte(inbound[i*5 : i*5+5]))
			st.wire.AddWindow(3)
		}
		switch seed % 4 {
		case 0:
			st.wire.FIN()
		case 1:
			st.wire.Reset(errPeer)
		}
	})
	closes := []func(){
		func() { _ = st.stream.Close() },
		func() { st.stream.Abort(errOwn) },
		func() { _ = st.stream.Close() },
		func() { streamhook.CloseWhenIdle(st.stream); _ = st.stream.CloseWrite() },
		func() { _ = l.Post(func() { _ = st.stream.Close() }) },
	}
	r.Shuffle(len(closes), func(i, k int) { closes[i], closes[k] = closes[k], closes[i] })
	for _, end := range closes[:1+r.IntN(len(closes))] {
		st.wg.Go(end)
	}
	st.wg.Go(func() { _ = st.stream.Close() }) // one end is sure
	st.wg.Wait()
	st.check()
}

// reader reads until the end, in several ways.
func (st *storm) reader(chunk int) {
	ctx := context.Background()
	for i := 0; ; i++ {
		var data []byte
		var err error
		switch (i + chunk) % 4 {
		case 0:
			data, err = st.stream.Read(ctx, iostream.Some(1+chunk))
		case 1:
			data, err = st.stream.Read(ctx, iostream.Until("b").Limit(50))
		case 2:
			into := make([]byte, 1+chunk)
			n := 0
			n, err = st.stream.ReadAtLeast(ctx, into, len(into))
			data = into[:n]
		case 3:
			data, err = st.stream.Read(ctx, iostream.Bytes(chunk))
		}
		st.read = append(st.read, data...)
		if err != nil && !errors.Is(err, iostream.ErrReadPending) {
			return
		}
	}
}

// writer writes until it is refused, and waits for some of it.
func (st *storm) writer() {
	var mu sync.Mutex
	var waits sync.WaitGroup
	for i := range 30 {
		at := int(st.written.Load())
		if _, err := st.stream.Write([]byte(outbound[at : at+7])); err != nil {
			break
		}
		st.written.Add(7)
		if mark := st.stream.Mark(); i%3 == 0 {
			waits.Go(func() {
				err := st.stream.WaitSent(context.Background(), mark)
				mu.Lock()
				defer mu.Unlock()
				st.marks, st.waits = append(st.marks, mark), append(st.waits, err)
			})
		}
	}
	waits.Wait()
}

// intruder reads where another reader is: it may come in between, but takes
// nothing.
func (st *storm) intruder() {
	for range 20 {
		data, err := st.stream.Read(context.Background(), iostream.Bytes(0))
		if len(data) > 0 || err != nil && !errors.Is(err, iostream.ErrReadPending) {
			st.t.Errorf("read of nothing: %q, %v", data, err)
		}
	}
}

func (st *storm) check() {
	t := st.t
	var reason error
	select {
	case reason = <-st.gone:
	case <-time.After(2 * patience):
		require.Fail(t, "the stream does not close", "%v", st.stream)
	}
	w := st.wire.State()
	require.Equal(t, 1, w.Closes)
	require.EqualValues(t, 1, st.told.Load())
	require.Empty(t, w.Misuse)
	require.Empty(t, st.gone)
	require.Equal(t, reason, st.stream.Err())
	require.True(t, among(reason, []error{net.ErrClosed, errOwn, io.EOF, errPeer, iostream.ErrSendTimeout}), "%v", reason)
	rest, err := st.stream.Read(context.Background(), iostream.UntilClose())
	require.True(t, err == nil || errors.Is(err, reason), "%v", err)
	st.read = append(st.read, rest...)
	require.True(t, strings.HasPrefix(inbound, string(st.read)), "read %q", st.read)
	require.LessOrEqual(t, len(st.read), w.Received)
	require.True(t, strings.HasPrefix(outbound, st.wire.Sent()))
	taken := st.stream.Mark() - st.written.Load()
	require.True(t, taken == 0 || taken == 7, "a write that fails on the spot counts: %d", taken)
	for i, mark := range st.marks {
		require.Equal(t, int(mark) <= w.Sent, st.waits[i] == nil, "%d of %d bytes: %v", mark, w.Sent, st.waits[i])
	}
}
