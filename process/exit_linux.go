package process

import (
	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/poller"
	"golang.org/x/sys/unix"
)

// watch has the process reaped when it exits. The loop tells, by a descriptor
// that becomes readable then (pidfd_open(2), Linux 5.3), so that no goroutine
// and no thread is blocked meanwhile.
func (p *Process) watch() {
	if p.loop.Post(p.register) != nil {
		p.reap()
	}
}

func (p *Process) register() {
	fd, err := unix.PidfdOpen(p.cmd.Process.Pid, 0)
	if err != nil {
		p.reap()
		return
	}
	e := &exit{process: p, fd: fd}
	if e.registration, err = p.loop.Handle(fd, poller.Readable, e); err != nil {
		e.end()
	}
}

// exit is the handler of the descriptor.
type exit struct {
	process      *Process
	fd           int
	registration ioloop.Registration
}

// HandleEvent is called when the process has exited.
func (e *exit) HandleEvent(poller.Interest, poller.Hint) { e.end() }

// Fail is called when the loop closes.
func (e *exit) Fail(error) { e.end() }

func (e *exit) end() {
	_ = e.process.loop.Remove(e.registration) // none, if Handle has failed
	_ = unix.Close(e.fd)
	e.process.reap()
}
