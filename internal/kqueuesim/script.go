//go:build linux

package kqueuesim

import (
	"sync"
	"syscall"
	"time"
)

// Script is a set of descriptors to which happens what a test says. Its own
// queues have numbers from 1000.
type Script struct {
	mu     sync.Mutex
	fds    map[int]*scripted
	serial uint64
	queues int
}

// scripted is an open descriptor. A duplicate shares the state.
type scripted struct {
	serial uint64
	file   *scriptedFile
}

type scriptedFile struct {
	state    State
	watchers []watcher
}

type watcher struct {
	files   *scriptFiles
	id      uint32
	reading bool
}

// NewScript returns a Script without descriptors.
func NewScript() *Script { return &Script{fds: map[int]*scripted{}} }

// NewQueue returns a Queue for the descriptors of the Script.
func (s *Script) NewQueue(p *Profile) *Queue {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queues++
	return newQueue(p, &scriptFiles{script: s, profile: p, own: 999 + s.queues, bell: make(chan struct{}, 1)})
}

// Open opens fd.
func (s *Script) Open(fd int, state State) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.serial++
	s.fds[fd] = &scripted{s.serial, &scriptedFile{state: state}}
}

// Dup makes to another descriptor of what fd is open on.
func (s *Script) Dup(fd, to int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.serial++
	s.fds[to] = &scripted{s.serial, s.fds[fd].file}
}

// Close closes fd, whose knotes are gone with it.
func (s *Script) Close(fd int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.fds, fd)
}

// Kind is what fd is of.
func (s *Script) Kind(fd int) (Kind, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.fds[fd]
	if d == nil {
		return 0, syscall.EBADF
	}
	return d.file.state.Kind, nil
}

// Set changes what a file is, and nobody notices: something has been read or
// written.
func (s *Script) Set(fd int, change func(*State)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.fds[fd].file.state)
}

// Input has n bytes arrive.
func (s *Script) Input(fd int, n int64) {
	s.happen(fd, true, false, func(st *State) {
		st.Input += n
		st.Readable = true
	})
}

// Drain reads all that is there.
func (s *Script) Drain(fd int) {
	s.Set(fd, func(st *State) { st.Input, st.Readable = 0, false })
}

// Room has room for n bytes come about.
func (s *Script) Room(fd int, n int64) {
	s.happen(fd, false, true, func(st *State) {
		st.Room += n
		st.Writable = true
	})
}

// ReadEnd reads the end of a pipe for the first time.
func (s *Script) ReadEnd(fd int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range s.fds[fd].file.watchers {
		if w.reading && w.files.profile.EndReadTells {
			w.files.ring(w.id)
		}
	}
}

// Fill writes all that there's room for.
func (s *Script) Fill(fd int) {
	s.Set(fd, func(st *State) { st.Room, st.Writable = 0, false })
}

// Write writes n bytes, of room for more.
func (s *Script) Write(fd int, n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.fds[fd].file
	f.state.Room -= n
	for _, w := range f.watchers {
		if !w.reading && w.files.profile.WritesTell && f.state.Kind == PipeWriter {
			w.files.ring(w.id)
		}
	}
}

// EndInput has the peer end its stream, or the last writer go.
func (s *Script) EndInput(fd int) {
	s.happen(fd, true, false, func(st *State) { st.InputEnded = true })
}

// EndOutput shuts down the own side, or has the last reader go.
func (s *Script) EndOutput(fd int) {
	s.happen(fd, true, true, func(st *State) { st.OutputEnded = true })
}

// Break has a connection fail.
func (s *Script) Break(fd int, err syscall.Errno) {
	s.happen(fd, true, true, func(st *State) {
		st.InputEnded, st.OutputEnded, st.Err = true, true, uint32(err)
	})
}

// happen changes a state, and tells those who watch for reading or writing.
func (s *Script) happen(fd int, reading, writing bool, change func(*State)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.fds[fd].file
	change(&f.state)
	for _, w := range f.watchers {
		if w.reading && reading || !w.reading && writing {
			w.files.ring(w.id)
		}
	}
}

// scriptFiles are the descriptors of a Script, for one Queue.
type scriptFiles struct {
	script  *Script
	profile *Profile
	own     int
	seen    []uint32 // under the script's mutex
	bell    chan struct{}
}

func (f *scriptFiles) fd() int      { return f.own }
func (f *scriptFiles) close() error { return nil }

func (f *scriptFiles) ring(id uint32) {
	f.seen = append(f.seen, id)
	f.signal(true)
}

func (f *scriptFiles) identify(fd int) (identity, error) {
	f.script.mu.Lock()
	defer f.script.mu.Unlock()
	d := f.script.fds[fd]
	if d == nil {
		return identity{}, syscall.EBADF
	}
	return identity{a: d.serial}, nil
}

func (f *scriptFiles) state(fd int) State {
	f.script.mu.Lock()
	defer f.script.mu.Unlock()
	if d := f.script.fds[fd]; d != nil {
		return d.file.state
	}
	return State{}
}

func (f *scriptFiles) watch(n *knote, reading bool) error {
	f.script.mu.Lock()
	defer f.script.mu.Unlock()
	d := f.script.fds[int(n.ident)]
	d.file.watchers = append(d.file.watchers, watcher{f, n.id, reading})
	return nil
}

// forget leaves the watcher: nobody has the number of its knote any more.
func (f *scriptFiles) forget(*knote, bool) {}

func (f *scriptFiles) noticed(ids []uint32) []uint32 {
	f.script.mu.Lock()
	defer f.script.mu.Unlock()
	ids = append(ids, f.seen...)
	f.seen = f.seen[:0]
	return ids
}

func (f *scriptFiles) signal(pending bool) {
	if pending {
		select {
		case f.bell <- struct{}{}:
		default:
		}
	}
}

func (f *scriptFiles) block(timeout time.Duration) error {
	if timeout < 0 {
		<-f.bell
		return nil
	}
	limit := time.NewTimer(timeout)
	defer limit.Stop()
	select {
	case <-f.bell:
	case <-limit.C:
	}
	return nil
}
