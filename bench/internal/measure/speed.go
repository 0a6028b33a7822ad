package measure

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/eddyloop/eddy/bench/internal/field"
	"github.com/eddyloop/eddy/bench/internal/workload"
)

// Busy is how many CPUs may be busy with other things in a round that counts.
const Busy = 0.3

// Quantiles are those of a latency curve.
var Quantiles = []float64{0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9995, 0.9999, 1}

// Settings are the same for every server.
type Settings struct {
	Passes int           // slices of each server in a round
	Slice  float64       // seconds
	Lead   float64       // seconds before each slice that do not count
	Warmup float64       // seconds before the first one
	Quiet  time.Duration // how long to wait for a quiet machine before a round
}

// Result is what a round found of a server: a cell, or why there is none.
type Result struct {
	Server field.Server
	Cell   *Cell
	Err    error
}

// contender is a server that takes part in a round.
type contender struct {
	*Result
	process   *field.Process
	load      *loader
	histogram *hdrhistogram.Histogram
}

// Round compares servers on w. All are started afresh and stay alive, idle but
// for the one whose turn it is. They take turns in short slices, forth and
// back, so that whatever changes steadily meanwhile does the same to all; a
// server's cell is the sum of its slices. The order is another one in each
// round, but the same whenever that is run.
func (set Settings) Round(ctx context.Context, servers []field.Server, w workload.Workload, round int) []Result {
	results := make([]Result, len(servers))
	var all []*contender
	for i, at := range rand.New(rand.NewPCG(uint64(round), uint64(len(w.Name)))).Perm(len(servers)) {
		results[i].Server = servers[at]
		all = append(all, &contender{Result: &results[i], histogram: hdrhistogram.New(1, int64(20*time.Minute), 3)})
	}
	for _, c := range all {
		defer c.stop()
		c.start(w)
		c.turn(0, set.Warmup)
		c.Cell = nil
		c.histogram.Reset()
	}
	awaitQuiet(set.Quiet)
	for range set.Passes {
		for _, c := range all {
			if ctx.Err() != nil {
				return nil
			}
			c.turn(set.Lead, set.Slice)
		}
		slices.Reverse(all)
	}
	for _, c := range all {
		c.finish()
	}
	return results
}

func (c *contender) start(w workload.Workload) {
	if c.process, c.Err = c.Server.Start(w.Args()...); c.Err == nil {
		c.load, c.Err = connect(c.process, w)
	}
}

func (c *contender) stop() {
	if c.load != nil {
		c.load.stop()
	}
	if c.process != nil {
		c.process.Stop()
	}
}

// turn adds a slice to the cell. Who failed has no further turns.
func (c *contender) turn(lead, seconds float64) {
	if c.Err != nil {
		return
	}
	out, err := c.load.slice(lead, seconds)
	if err != nil {
		c.Err = err
		c.stop() // what it does now is not to disturb the others
		return
	}
	if c.Cell == nil {
		c.Cell = new(Cell)
	}
	c.Cell.Slices = append(c.Cell.Slices, Slice{out.Messages, out.Seconds, out.ServerCPU, out.ClientCPU, out.Foreign, out.Steal})
	for _, bucket := range out.Latency {
		if err := c.histogram.RecordValues(bucket[0], bucket[1]); err != nil {
			c.Err = err
		}
	}
}

// finish sums up the slices.
func (c *contender) finish() {
	if c.Err != nil {
		c.Cell = nil
		return
	}
	var sum Slice
	for _, s := range c.Cell.Slices {
		sum.Messages += s.Messages
		sum.Seconds += s.Seconds
		sum.ServerCPU += s.ServerCPU
		sum.ClientCPU += s.ClientCPU
		sum.Foreign += s.Foreign * s.Seconds
		sum.Steal += s.Steal * s.Seconds
	}
	c.Cell.Rate = float64(sum.Messages) / sum.Seconds
	c.Cell.CPU = sum.ServerCPU * 1e6 / float64(sum.Messages)
	c.Cell.ServerUtil = sum.ServerCPU / sum.Seconds
	c.Cell.ClientUtil = sum.ClientCPU / sum.Seconds
	c.Cell.Foreign = sum.Foreign / sum.Seconds
	c.Cell.Steal = sum.Steal / sum.Seconds
	for _, q := range Quantiles {
		if c.histogram.TotalCount() == 0 {
			break // a dribbled line may take longer
		}
		c.Cell.Latency = append(c.Cell.Latency, [2]float64{q, float64(c.histogram.ValueAtQuantile(q*100)) / 1e3})
	}
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
