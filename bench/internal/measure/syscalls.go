package measure

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/eddyloop/eddy/bench/internal/field"
	"github.com/eddyloop/eddy/bench/internal/workload"
)

// Traced are the loads whose system calls are counted, once all is connected.
var Traced = []workload.Workload{
	{Name: "trace-c10", What: "lines, 10 connections, 64 B", Mode: "line", Load: []string{"-c", "10"}},
	{Name: "trace-deep16", What: "lines, 10 connections, 64 B, 16 in flight", Mode: "line", Load: []string{"-c", "10", "-d", "16"}},
}

// Calls counts the system calls of a server for each message, with strace,
// which slows it down several times: this says which calls, not how many
// events one wait returns at full speed.
func Calls(s field.Server, w workload.Workload, seconds float64) (map[string]float64, error) {
	p, err := s.Start(w.Args()...)
	if err != nil {
		return nil, err
	}
	defer p.Stop()
	load, err := connect(p, w)
	if err != nil {
		return nil, err
	}
	defer load.stop()
	dir, err := os.MkdirTemp("", "calls")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	table := filepath.Join(dir, "table")
	trace := exec.Command("strace", "-f", "-c", "-o", table, "-p", strconv.Itoa(p.Pid))
	trace.SysProcAttr = field.Apart()
	if err := trace.Start(); err != nil {
		return nil, err
	}
	if err := awaitTraced(p.Pid); err != nil {
		return nil, err
	}
	out, err := load.slice(0, seconds)
	_ = trace.Process.Signal(os.Interrupt)
	_ = trace.Wait()
	if err != nil {
		return nil, err
	}
	data, err := os.ReadFile(table)
	if err != nil {
		return nil, err
	}
	return parseCalls(string(data), float64(max(out.Messages, 1))), nil
}

// awaitTraced waits until a tracer has hold of the process.
func awaitTraced(pid int) error {
	for range 200 {
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			return err
		}
		if !strings.Contains(string(data), "TracerPid:\t0") {
			return nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	return fmt.Errorf("strace does not get hold of %d", pid)
}

// parseCalls reads strace's table: % time, seconds, usecs/call, calls, errors
// (or nothing), name.
func parseCalls(table string, messages float64) map[string]float64 {
	calls := map[string]float64{}
	for line := range strings.Lines(table) {
		fields := strings.Fields(line)
		if len(fields) < 5 || fields[len(fields)-1] == "total" {
			continue
		}
		if n, err := strconv.ParseFloat(fields[3], 64); err == nil && n/messages >= 0.005 {
			calls[fields[len(fields)-1]] = n / messages
		}
	}
	return calls
}
