package field

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/eddyloop/eddy/bench/internal/lag"
	"github.com/eddyloop/eddy/bench/internal/peer"
	"github.com/eddyloop/eddy/bench/internal/workload"
)

// SkipError is why a server has no means for what was asked of it.
type SkipError string

func (e SkipError) Error() string { return string(e) }

// patience is how long a server may take to answer.
const patience = 10 * time.Second

// The cores: the server has one to itself, the load another.
const (
	ServerCore = "0"
	LoadCore   = "1"
)

// Process is a running server.
type Process struct {
	Addr  string
	Pid   int
	cmd   *exec.Cmd
	lines chan string
	end   *Process // of a relay: where it leads to
}

// allFiles raises the limit of open files as far as it goes: Go programs do so
// by themselves, others do not.
const allFiles = `ulimit -n "$(ulimit -Hn)"; exec "$0" "$@"`

// Apart has a child die with this process, and not of a Ctrl-C meant for it.
func Apart() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}

// Start runs s where it belongs, as the other Start does. A relay leads to an
// echo server in C, which shares the load's core.
func (s Server) Start(args ...string) (*Process, error) {
	cores := ServerCore
	if s.procs > 1 {
		cores = ServerCore + "," + LoadCore
	}
	if s.Role != workload.Relay {
		return StartOn(cores, max(s.procs, 1), s.Command(), args...)
	}
	end, err := StartOn(LoadCore, 1, []string{filepath.Join(bin, LimitName)}, "-mode", "raw")
	if err != nil {
		return nil, err
	}
	p, err := StartOn(cores, 1, s.Command(), append(args, "-to", end.Addr)...)
	if err != nil {
		end.Stop()
		return nil, err
	}
	p.end = end
	return p, nil
}

// Start runs a command on ServerCore with one Go processor, until it tells
// where it listens. The error is a SkipError if it exits with peer.ExitSkip.
func Start(command []string, args ...string) (*Process, error) {
	return StartOn(ServerCore, 1, command, args...)
}

// StartOn is Start on some cores with as many Go processors.
func StartOn(cores string, procs int, command []string, args ...string) (*Process, error) {
	line := slices.Concat([]string{"taskset", "-c", cores, "sh", "-c", allFiles}, command, args)
	cmd := exec.Command(line[0], line[1:]...)
	cmd.Env = append(os.Environ(), fmt.Sprint("GOMAXPROCS=", procs))
	cmd.SysProcAttr = Apart()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &Process{Pid: cmd.Process.Pid, cmd: cmd, lines: make(chan string, 16)}
	go func() {
		for s := bufio.NewScanner(out); s.Scan(); {
			p.lines <- s.Text()
		}
		close(p.lines)
	}()
	if p.Addr, err = p.answer("listening on "); err == nil {
		return p, nil
	}
	p.Stop()
	if cmd.ProcessState.ExitCode() == peer.ExitSkip {
		return nil, SkipError(strings.TrimSpace(stderr.String()))
	}
	return nil, fmt.Errorf("%s: %w: %s", strings.Join(command, " "), err, strings.TrimSpace(stderr.String()))
}

// answer waits for a line that begins with prefix and returns its rest.
func (p *Process) answer(prefix string) (string, error) {
	timeout := time.After(patience)
	for {
		select {
		case line, ok := <-p.lines:
			if !ok {
				_ = p.cmd.Wait()
				return "", errors.New("it ended")
			}
			if rest, ok := strings.CutPrefix(line, prefix); ok {
				return rest, nil
			}
		case <-timeout:
			return "", errors.New("it did not answer")
		}
	}
}

// Memory returns the bytes of heap and stacks in use, in Go only, after a
// collection.
func (p *Process) Memory() (heap, stack int64, err error) {
	if err := p.cmd.Process.Signal(syscall.SIGUSR1); err != nil {
		return 0, 0, err
	}
	line, err := p.answer("memory ")
	if err != nil {
		return 0, 0, err
	}
	_, err = fmt.Sscan(line, &heap, &stack)
	return heap, stack, err
}

// Lag returns what a program of the lag part tells since it was asked last.
func (p *Process) Lag() (r lag.Result, err error) {
	if err := p.cmd.Process.Signal(syscall.SIGUSR2); err != nil {
		return r, err
	}
	line, err := p.answer("lag ")
	if err != nil {
		return r, err
	}
	return r, json.Unmarshal([]byte(line), &r)
}

// CPU returns the seconds that all threads have used, from the scheduler's
// counters.
func (p *Process) CPU() (seconds float64) {
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", p.Pid))
	for _, name := range threads {
		data, _ := os.ReadFile(name)
		var ns int64
		_, _ = fmt.Sscan(string(data), &ns)
		seconds += float64(ns) / 1e9
	}
	return seconds
}

// RSS returns the bytes of memory that the process holds.
func (p *Process) RSS() (int64, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", p.Pid))
	if err != nil {
		return 0, err
	}
	var size, resident int64
	_, err = fmt.Sscan(string(data), &size, &resident)
	return resident * int64(os.Getpagesize()), err
}

// Running reports whether the process has not ended.
func (p *Process) Running() bool {
	return p.cmd.ProcessState == nil && !errors.Is(p.cmd.Process.Signal(syscall.Signal(0)), os.ErrProcessDone) && !p.zombie()
}

// zombie reports whether the process has ended but was not waited for.
func (p *Process) zombie() bool {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.Pid))
	_, state, found := bytes.Cut(data, []byte(") "))
	return err != nil || !found || state[0] == 'Z'
}

// Stop ends the process.
func (p *Process) Stop() {
	if p.cmd.ProcessState == nil {
		_ = p.cmd.Process.Kill()
		for range p.lines {
		}
		_ = p.cmd.Wait()
	}
	if p.end != nil {
		p.end.Stop()
	}
}
