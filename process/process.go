// Package process runs child processes with their standard input and output as
// streams of a loop, and waits for their exit without holding the loop.
//
// In a task t of a loop:
//
//	p, err := process.Start(loop, exec.Command("ls"), process.Stdout, nil)
//	if err != nil {
//		return err
//	}
//	defer p.Stdout.Close()
//	for line, err := range p.Stdout.Messages(t, iostream.Until("\n")) {
//		if err != nil {
//			return err
//		}
//		fmt.Printf("%s", line)
//	}
//	return p.Wait(t)
//
// The streams are those of iostream.NewPipe.
package process

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"sync"

	"github.com/eddyloop/eddy/internal/socket"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
)

// Pipes is a set of the standard descriptors of a process.
type Pipes uint8

// The members of Pipes.
const (
	Stdin Pipes = 1 << iota
	Stdout
	Stderr
)

// ErrInvalid is returned by Start for arguments out of range. It is
// fs.ErrInvalid too.
var ErrInvalid = fmt.Errorf("process: %w", fs.ErrInvalid)

// Process is a child process. Its methods may be called from any goroutine.
//
// Stdin is a write-only stream, whose CloseWrite lets the child read the end;
// Stdout and Stderr are read-only streams. Those that Start was not asked for
// are nil. The caller closes them. They are independent of the process: its
// output can be read after it has exited, and its own children may keep them
// open.
type Process struct {
	Stdin, Stdout, Stderr *iostream.Stream

	loop *ioloop.Loop
	cmd  *exec.Cmd

	mu      sync.Mutex
	exited  bool
	err     error // what Wait returns
	waiters []*ioloop.Waiter
	onExit  func(error)
}

// Start starts cmd. For each of pipes it makes a pipe whose end is a stream on
// l, set up by config. It returns ErrInvalid for a nil l or cmd, for unknown
// pipes and if cmd has set one of them already, otherwise the error of
// iostream.NewPipe or cmd.Start. After an error nothing is left behind.
//
// All else is as in os/exec: with exec.CommandContext the process is killed
// when the context is done. Do not call cmd.Wait: the process is waited for in
// any case, also while l does not run, so that it does not stay as a zombie.
// When l closes, the streams close and the process goes on.
//
// A process that writes more than a pipe holds (64 KiB on Linux) exits only
// when that is read: read first, then wait.
func Start(l *ioloop.Loop, cmd *exec.Cmd, pipes Pipes, config *iostream.Config) (*Process, error) {
	if l == nil || cmd == nil || pipes&^(Stdin|Stdout|Stderr) != 0 || pipes&Stdin != 0 && cmd.Stdin != nil ||
		pipes&Stdout != 0 && cmd.Stdout != nil || pipes&Stderr != 0 && cmd.Stderr != nil {
		return nil, ErrInvalid
	}
	p := &Process{loop: l, cmd: cmd}
	if err := p.start(pipes, config); err != nil {
		p.undo()
		return nil, fmt.Errorf("process: start: %w", err)
	}
	go p.watch()
	return p, nil
}

func (p *Process) start(pipes Pipes, config *iostream.Config) error {
	for which := Stdin; which <= Stderr; which <<= 1 {
		if pipes&which == 0 {
			continue
		}
		s, file, err := p.pipe(which == Stdin, config)
		if err != nil {
			return err
		}
		defer file.Close() // the child has it then
		switch which {
		case Stdin:
			p.Stdin, p.cmd.Stdin = s, file
		case Stdout:
			p.Stdout, p.cmd.Stdout = s, file
		case Stderr:
			p.Stderr, p.cmd.Stderr = s, file
		}
	}
	return p.cmd.Start()
}

// undo takes back what start has done.
func (p *Process) undo() {
	if p.Stdin != nil {
		_, p.cmd.Stdin = p.Stdin.Close(), nil
	}
	if p.Stdout != nil {
		_, p.cmd.Stdout = p.Stdout.Close(), nil
	}
	if p.Stderr != nil {
		_, p.cmd.Stderr = p.Stderr.Close(), nil
	}
}

// pipe returns a stream and the file of the other end, for the child. They are
// two open files, so that the child's stays blocking.
func (p *Process) pipe(write bool, config *iostream.Config) (*iostream.Stream, *os.File, error) {
	ours, theirs, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	if write {
		ours, theirs = theirs, ours
	}
	defer ours.Close()
	fd, err := socket.Duplicate(int(ours.Fd()))
	if err != nil {
		theirs.Close()
		return nil, nil, os.NewSyscallError("fcntl", err)
	}
	s, err := iostream.NewPipe(p.loop, fd, config)
	if err != nil {
		_ = socket.Close(fd)
		theirs.Close()
		return nil, nil, err
	}
	return s, theirs, nil
}

// watch takes the exit status when there is one, whether the loop runs or not.
func (p *Process) watch() {
	p.awaitExit()
	err := p.cmd.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.exited, p.err = true, err
	for _, w := range p.waiters {
		p.loop.Kit().WakeWaiter(w)
	}
	p.waiters = nil
	p.tell()
}

// tell has the callback called, if it is time.
func (p *Process) tell() {
	if fn, err := p.onExit, p.err; fn != nil && p.exited {
		_ = p.loop.Post(func() { fn(err) })
	}
}

// Wait waits until the process has exited and returns what cmd.Wait returns:
// nil if its status was 0, otherwise an *exec.ExitError. Afterwards
// cmd.ProcessState may be read. If ctx is done first, Wait returns its error
// and the process goes on. Any number of calls may wait, also after the exit.
func (p *Process) Wait(ctx context.Context) (err error) {
	if err := ioloop.CheckContext(ctx); err != nil {
		return err
	}
	p.mu.Lock()
	if p.exited {
		defer p.mu.Unlock()
		return p.err
	}
	w := new(ioloop.Waiter)
	if err := w.Begin(ctx); err != nil {
		p.mu.Unlock()
		return err
	}
	p.waiters = append(p.waiters, w)
	p.mu.Unlock()
	defer func() { // a task whose loop stops may be unwound from inside of Wait
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.exited {
			err = p.err
			return
		}
		p.waiters = slices.DeleteFunc(p.waiters, func(other *ioloop.Waiter) bool { return other == w })
	}()
	return w.Wait()
}

// OnExit has fn called once on the loop when the process has exited, with what
// Wait returns; soon if it has exited already. If the loop closes first, fn is
// not called. A second call replaces fn.
func (p *Process) OnExit(fn func(error)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.onExit = fn
	p.tell()
}

// Pid returns the process ID.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Signal sends a signal to the process. It returns os.ErrProcessDone if the
// process has exited, or the error of os.Process.Signal.
func (p *Process) Signal(signal os.Signal) error {
	if signal == nil {
		return ErrInvalid
	}
	return p.cmd.Process.Signal(signal)
}

// Kill is Signal(os.Kill): the process ends at once.
func (p *Process) Kill() error { return p.Signal(os.Kill) }
