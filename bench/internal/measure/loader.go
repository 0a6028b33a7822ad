package measure

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/eddyloop/eddy/bench/internal/field"
	"github.com/eddyloop/eddy/bench/internal/workload"
)

// patience is how much longer than asked for the load may take.
const patience = 30 * time.Second

// loader is a load generator that is connected to a server and sends nothing
// until it is asked for a slice.
type loader struct {
	cmd    *exec.Cmd
	ask    io.WriteCloser
	lines  *bufio.Reader
	stderr bytes.Buffer
}

// output is what the load generator prints of a slice.
type output struct {
	Messages  int64      `json:"messages"`
	Seconds   float64    `json:"seconds"`
	ServerCPU float64    `json:"server_cpu"`
	ClientCPU float64    `json:"client_cpu"`
	Foreign   float64    `json:"foreign"`
	Steal     float64    `json:"steal"`
	Latency   [][2]int64 `json:"latency"` // ns, count
}

// connect starts the load for a server. It returns when all is connected.
func connect(p *field.Process, w workload.Workload) (*loader, error) {
	program := []string{field.Load, "-i", "-a", p.Addr, "-p", strconv.Itoa(p.Pid)}
	if w.Asks {
		program = []string{field.Ask, "-a", p.Addr, "-pid", strconv.Itoa(p.Pid)}
	}
	l := &loader{cmd: exec.Command("taskset", slices.Concat([]string{"-c", field.LoadCore}, program, w.Load)...)}
	l.cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
	l.cmd.SysProcAttr, l.cmd.Stderr = field.Apart(), &l.stderr
	var err error
	if l.ask, err = l.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := l.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	l.lines = bufio.NewReader(out)
	if err := l.cmd.Start(); err != nil {
		return nil, err
	}
	if _, err := l.answer(0); err != nil {
		return nil, err
	}
	return l, nil
}

// slice has the load warm up and then measure for some seconds each.
func (l *loader) slice(lead, seconds float64) (*output, error) {
	if _, err := fmt.Fprintln(l.ask, lead, seconds); err != nil {
		return nil, l.failed(err)
	}
	line, err := l.answer(lead + seconds)
	if err != nil {
		return nil, err
	}
	out := new(output)
	if err := json.Unmarshal(line, out); err != nil {
		return nil, err
	}
	if out.Messages == 0 {
		return nil, fmt.Errorf("no message came back in %.1f s", out.Seconds)
	}
	return out, nil
}

// answer returns the next line; if it does not come in time, the load is ended.
func (l *loader) answer(seconds float64) ([]byte, error) {
	killer := time.AfterFunc(patience+time.Duration(seconds*float64(time.Second)), func() { _ = l.cmd.Process.Kill() })
	defer killer.Stop()
	line, err := l.lines.ReadBytes('\n')
	if err != nil {
		return nil, l.failed(err)
	}
	return line, nil
}

// failed ends the load and tells what it said.
func (l *loader) failed(err error) error {
	l.stop()
	if said := strings.TrimSpace(l.stderr.String()); said != "" {
		return fmt.Errorf("%s", said)
	}
	return fmt.Errorf("the load ended: %w", err)
}

func (l *loader) stop() {
	if l.cmd.ProcessState == nil {
		_ = l.cmd.Process.Kill()
		_ = l.cmd.Wait()
	}
}
