//go:build linux

package poller

import (
	"time"

	"github.com/eddyloop/eddy/internal/kqueuesim"
	"golang.org/x/sys/unix"
)

// emulatedQueue is a kqueue without a BSD. Only tests, and New under the build
// tag eddy_kqueue, refer to it: the linker leaves it out of everything else.
type emulatedQueue struct {
	*kqueuesim.Queue
	look   func(fd int) (fileKind, error)
	blind  func(fd int) bool
	events []kqueuesim.Kevent
}

// newEmulated returns a Poller over an emulated kqueue for descriptors of the
// host, woken by a user event or by a pipe.
func newEmulated(p *kqueuesim.Profile, pipe bool) (Poller, error) {
	queue, err := kqueuesim.New(p)
	if err != nil {
		return nil, err
	}
	k := &emulatedQueue{Queue: queue}
	k.look, k.blind = k.hostKind, k.hostBlind
	var w waker = &userWaker{k}
	if pipe {
		if w, err = newPipeWaker(); err != nil {
			k.close()
			return nil, err
		}
	}
	f, err := newKqueue(k, w)
	if err != nil {
		return nil, err
	}
	return f, nil
}

func (k *emulatedQueue) fd() int                       { return k.FD() }
func (k *emulatedQueue) close() error                  { return k.Close() }
func (k *emulatedQueue) kind(fd int) (fileKind, error) { return k.look(fd) }

// hostKind refuses what the backend refuses on the system.
func (k *emulatedQueue) hostKind(fd int) (fileKind, error) {
	kind, _, err := kindOf(fd)
	if k.Profile().DeafFIFO && kqueuesim.IsFIFO(fd) {
		return kind, errFIFOEnd
	}
	return kind, err
}

func (k *emulatedQueue) blindToRoom(fd int) bool { return k.blind(fd) }

func (k *emulatedQueue) hostBlind(fd int) bool {
	if !kqueuesim.IsFIFO(fd) {
		return false
	}
	queue, err := kqueuesim.New(k.Profile())
	if err != nil {
		return false
	}
	trial := &emulatedQueue{Queue: queue}
	defer trial.close()
	tells, known := tellsFIFORoom(trial)
	return known && !tells
}

func (k *emulatedQueue) change(ev kevent) error {
	p := k.Profile()
	number := map[filter]int32{filterRead: p.Read, filterWrite: p.Write, filterUser: p.User}[ev.filter]
	_, err := k.Kevent([]kqueuesim.Kevent{{
		Ident: ev.ident, Filter: number, Flags: ev.flags, Fflags: ev.fflags,
	}}, nil, nil)
	return err
}

func (k *emulatedQueue) wait(events []kevent, timeout time.Duration) (int, error) {
	if len(events) > cap(k.events) {
		k.events = make([]kqueuesim.Kevent, len(events))
	}
	list := k.events[:len(events)]
	var limit *unix.Timespec
	if timeout >= 0 {
		ts := unix.NsecToTimespec(int64(timeout))
		limit = &ts
	}
	n, err := k.Kevent(nil, list, limit)
	if err != nil {
		return 0, err
	}
	for i, ev := range list[:n] {
		events[i] = kevent{
			ident: ev.Ident, filter: k.own(ev.Filter), flags: ev.Flags, fflags: ev.Fflags, data: ev.Data,
		}
	}
	return n, nil
}

func (k *emulatedQueue) own(number int32) filter {
	switch p := k.Profile(); number {
	case p.Read:
		return filterRead
	case p.Write:
		return filterWrite
	case p.User:
		return filterUser
	}
	return filterOther
}
