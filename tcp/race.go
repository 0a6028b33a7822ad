package tcp

import (
	"net"
	"slices"
	"time"

	"github.com/eddyloop/eddy/ioloop"
)

// connectFunc begins to connect to addr, on the loop. It calls ended once, on
// the loop and possibly before it returns, with a connected socket or an error,
// unless cancel is called first, which frees what the attempt has.
type connectFunc func(addr net.Addr, ended func(fd int, err error)) (cancel func())

// race connects to the first of several addresses that answers, after RFC 8305:
// the next attempt begins when one has failed or delay has passed since the
// last began, and runs beside those in progress. The first success cancels
// the others. It lives on a loop.
type race struct {
	loop    *ioloop.Loop
	connect connectFunc
	delay   time.Duration // 0 or less: one attempt at a time
	addrs   []net.Addr
	begun   int        // attempts that were begun, by the order of addrs
	running []*attempt // of those
	timer   *ioloop.Timer
	over    bool

	// failed is called for each attempt that fails, and done once, with the
	// socket or, when all have failed, -1.
	failed func(addr net.Addr, err error)
	done   func(fd int, addr net.Addr)
}

// attempt is one to connect to addr.
type attempt struct {
	race   *race
	addr   net.Addr
	cancel func()
}

// next begins the next attempt, if there is one. The first call begins the
// race, which may be over when it returns.
func (r *race) next() {
	if r.over || r.begun == len(r.addrs) {
		return
	}
	a := &attempt{race: r, addr: r.addrs[r.begun]}
	r.begun++
	r.running = append(r.running, a)
	r.stopTimer()
	if r.begun < len(r.addrs) && r.delay > 0 {
		r.timer = r.loop.AfterFunc(r.delay, r.next)
	}
	a.cancel = r.connect(a.addr, a.ended)
}

// ended takes in the outcome of an attempt.
func (a *attempt) ended(fd int, err error) {
	r := a.race
	i := slices.Index(r.running, a)
	r.running = slices.Delete(r.running, i, i+1)
	if err == nil {
		r.cancel()
		r.done(fd, a.addr)
		return
	}
	r.failed(a.addr, err)
	r.next()
	if !r.over && len(r.running) == 0 { // and none was left to begin
		r.over = true
		r.done(-1, nil)
	}
}

// cancel gives up all attempts in progress; done will not be called.
func (r *race) cancel() {
	r.over = true
	r.stopTimer()
	for _, a := range r.running {
		a.cancel()
	}
	r.running = nil
}

func (r *race) stopTimer() {
	if r.timer != nil {
		r.timer.Stop()
	}
}
