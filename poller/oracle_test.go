//go:build (linux || windows) && !eddy_kqueue && !eddy_poll

package poller_test

import (
	"time"

	"github.com/eddyloop/eddy/poller"
)

// oracle is a Poller that shares nothing with those that are tested: each Wait asks
// the system about every descriptor anew (ask), and tells what the documentation of
// package poller says. It does not wait, and plays Edge as Level.
type oracle struct {
	poller.Unimplemented
	regs map[int]*oracleReg
}

type oracleReg struct {
	token    poller.Token
	interest poller.Interest
	mode     poller.Mode
	fired    bool // one-shot
	closed   bool // PeerClosed has been told
	broken   bool // and with an error
}

func newOracle() *oracle { return &oracle{regs: map[int]*oracleReg{}} }

func (o *oracle) Add(fd int, token poller.Token, interest poller.Interest, mode poller.Mode) error {
	if o.regs[fd] != nil {
		return poller.ErrExists
	}
	o.regs[fd] = &oracleReg{token: token, interest: interest, mode: mode}
	return nil
}

func (o *oracle) Modify(fd int, token poller.Token, interest poller.Interest, mode poller.Mode) error {
	if o.regs[fd] == nil {
		return poller.ErrNotExist
	}
	o.regs[fd] = &oracleReg{token: token, interest: interest, mode: mode}
	return nil
}

func (o *oracle) Remove(fd int) error {
	if o.regs[fd] == nil {
		return poller.ErrNotExist
	}
	delete(o.regs, fd)
	return nil
}

func (o *oracle) Wait(events []poller.Event, _ time.Duration) (n int, err error) {
	for fd, r := range o.regs {
		ready, failed := ask(fd)
		if ready &= r.interest; r.closed && (r.broken || !failed) {
			ready &^= poller.PeerClosed
		}
		if ready == 0 || r.fired {
			continue
		}
		if ready&poller.PeerClosed != 0 {
			r.closed, r.broken = true, r.broken || failed
		}
		r.fired = r.mode == poller.OneShot
		events[n] = poller.Event{Token: r.token, Ready: ready}
		if failed {
			events[n].Hints = poller.Failed
		}
		n++
	}
	return n, nil
}
