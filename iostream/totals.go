package iostream

import (
	"context"
	"sync"

	"github.com/eddyloop/eddy/ioloop"
)

// Totals are sums over the streams of loops, for metrics.
type Totals struct {
	Streams  int   // that are open
	Backlog  int64 // bytes that were written and that the kernel has yet to take
	Buffered int64 // bytes that were received and not read
}

// Total sums up the open streams of some loops. It leaves out streams without a
// descriptor and loops that are closed. It waits for each loop to list its
// streams, some 10 ns for each stream, and adds on the calling goroutine, so it
// may be called once a second under any load. In a callback or task it returns
// ioloop.ErrOnLoop. When ctx ends before all loops have answered, Total returns
// what it has and the error of ctx.
func Total(ctx context.Context, loops ...*ioloop.Loop) (Totals, error) {
	var sum Totals
	if err := ioloop.CheckContext(ctx); err != nil {
		return sum, err
	}
	if err := ioloop.MayBlock(); err != nil {
		return sum, err
	}
	// Not a channel: the loops may be outside of the bubble of testing/synctest.
	var w ioloop.Waiter
	if err := w.Begin(ctx); err != nil {
		return sum, err
	}
	var mu sync.Mutex
	var lists [][]*Stream
	answer := func(list []*Stream) {
		mu.Lock()
		defer mu.Unlock()
		if lists = append(lists, list); len(lists) == len(loops) {
			w.Wake()
		}
	}
	for _, l := range loops {
		if l.Post(func() { answer(listStreams(l)) }) != nil {
			answer(nil)
		}
	}
	var err error
	if len(loops) > 0 {
		err = w.Wait()
	}
	mu.Lock()
	answered := lists
	mu.Unlock()
	for _, list := range answered {
		sum.add(list)
	}
	return sum, err
}

func listStreams(l *ioloop.Loop) []*Stream {
	list := make([]*Stream, 0, l.Stats().Handlers)
	for s := range Streams(l) {
		list = append(list, s)
	}
	return list
}

func (t *Totals) add(list []*Stream) {
	for _, s := range list {
		t.Streams++
		t.Backlog += int64(s.Backlog())
		t.Buffered += int64(s.Buffered())
	}
}
