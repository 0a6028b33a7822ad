package measure

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/eddyloop/eddy/bench/internal/field"
	"github.com/eddyloop/eddy/bench/internal/workload"
)

// Busy is how many CPUs may be busy with other things in a round that counts.
const Busy = 0.3

// Quantiles are those of a latency curve.
var Quantiles = []float64{0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9995, 0.9999, 1}

// Settings are the same for every cell.
type Settings struct {
	Seconds, Warmup float64
	Quiet           time.Duration // how long to wait for a quiet machine
}

// Once measures a fresh server for one round.
func (set Settings) Once(s field.Server, w workload.Workload) (*Cell, error) {
	p, err := field.Start(s.Command(), w.Args()...)
	if err != nil {
		return nil, err
	}
	defer p.Stop()
	awaitQuiet(set.Quiet)
	return set.load(p, w.Load...)
}

// Cell is Once; if the machine was busy, it is Once again, and the quieter of
// both is kept, whatever it shows.
func (set Settings) Cell(s field.Server, w workload.Workload) (*Cell, error) {
	first, err := set.Once(s, w)
	if err != nil || first.Foreign <= Busy || set.Quiet == 0 {
		return first, err
	}
	second, err := set.Once(s, w)
	if err != nil || first.Foreign < second.Foreign {
		return first, nil
	}
	return second, nil
}

// output is what the load generator prints.
type output struct {
	Messages  int64      `json:"messages"`
	Seconds   float64    `json:"seconds"`
	ServerCPU float64    `json:"server_cpu"`
	ClientCPU float64    `json:"client_cpu"`
	Foreign   float64    `json:"foreign"`
	Steal     float64    `json:"steal"`
	Latency   [][2]int64 `json:"latency"` // ns, count
}

func (set Settings) load(p *field.Process, flags ...string) (*Cell, error) {
	out, err := runLoad(p, set.Warmup, set.Seconds, flags...)
	if err != nil {
		return nil, err
	}
	c := &Cell{
		Rate:       float64(out.Messages) / out.Seconds,
		CPU:        out.ServerCPU * 1e6 / float64(max(out.Messages, 1)),
		ServerUtil: out.ServerCPU / out.Seconds,
		ClientUtil: out.ClientCPU / out.Seconds,
		Foreign:    out.Foreign,
		Steal:      out.Steal,
	}
	h := hdrhistogram.New(1, int64(20*time.Minute), 3)
	for _, bucket := range out.Latency {
		if err := h.RecordValues(bucket[0], bucket[1]); err != nil {
			return nil, err
		}
	}
	for _, q := range Quantiles {
		if h.TotalCount() == 0 {
			break // a dribbled line may take longer
		}
		c.Latency = append(c.Latency, [2]float64{q, float64(h.ValueAtQuantile(q*100)) / 1e3})
	}
	if out.Messages == 0 {
		return nil, fmt.Errorf("no message came back in %.1f s", out.Seconds)
	}
	return c, nil
}

func runLoad(p *field.Process, warmup, seconds float64, flags ...string) (*output, error) {
	args := append([]string{"-c", field.LoadCore, field.Load, "-a", p.Addr, "-p", strconv.Itoa(p.Pid),
		"-w", fmt.Sprint(warmup), "-t", fmt.Sprint(seconds)}, flags...)
	cmd := exec.Command("taskset", args...)
	cmd.SysProcAttr = field.Apart()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	killer := time.AfterFunc(time.Minute+time.Duration((warmup+seconds)*float64(time.Second)), func() {
		_ = cmd.Process.Kill()
	})
	err := cmd.Run()
	killer.Stop()
	if err != nil {
		return nil, fmt.Errorf("%w %s", err, strings.TrimSpace(stderr.String()))
	}
	out := new(output)
	return out, json.Unmarshal(stdout.Bytes(), out)
}

// Quantile returns a quantile of a cell in µs, NaN if there is none.
func (c *Cell) Quantile(q float64) float64 {
	for _, l := range c.Latency {
		if l[0] == q {
			return l[1]
		}
	}
	return math.NaN()
}
