// Package render writes the report of what was measured.
package render

import (
	"fmt"
	"math"
	"slices"

	"github.com/eddyloop/eddy/bench/internal/field"
	"github.com/eddyloop/eddy/bench/internal/measure"
	"github.com/eddyloop/eddy/bench/internal/stats"
	"github.com/eddyloop/eddy/bench/internal/workload"
)

// round is when servers took turns, so that their figures may be compared.
type round struct {
	run string
	n   int
}

// data is the raw data, sorted.
type data struct {
	runs      []measure.Record
	skips     []measure.Record
	cells     map[string]map[string]map[round]*measure.Cell // workload, server
	idle      map[string]map[string]*measure.Idle           // "" or what connections do, server
	calls     map[string]map[string]map[string]float64      // workload, server
	behaviour map[string]map[string]string                  // probe, server
	lag       map[string]map[string][]*measure.Lag          // load, server
}

func sortOut(records []measure.Record) *data {
	d := &data{
		cells:     map[string]map[string]map[round]*measure.Cell{},
		idle:      map[string]map[string]*measure.Idle{},
		calls:     map[string]map[string]map[string]float64{},
		behaviour: map[string]map[string]string{},
		lag:       map[string]map[string][]*measure.Lag{},
	}
	for _, r := range records {
		switch r.Kind {
		case measure.Run:
			d.runs = append(d.runs, r)
		case measure.Skip:
			d.skips = append(d.skips, r)
		case measure.Speed:
			of := sub(sub(d.cells, r.Workload), r.Server)
			of[round{r.Run, r.Round}] = r.Cell
		case measure.Memory:
			sub(d.idle, r.Workload)[r.Server] = r.Idle
		case measure.Syscalls:
			sub(d.calls, r.Workload)[r.Server] = r.Calls
		case measure.Late:
			of := sub(d.lag, r.Workload)
			of[r.Server] = append(of[r.Server], r.Lag)
		case measure.Behaviour:
			sub(d.behaviour, r.Workload)[r.Server] = r.Text
		}
	}
	return d
}

// sub returns m[key], made if need be.
func sub[K, L comparable, V any](m map[K]map[L]V, key K) map[L]V {
	if m[key] == nil {
		m[key] = map[L]V{}
	}
	return m[key]
}

func quiet(c *measure.Cell) bool { return c.Foreign <= measure.Busy }

// enough reports whether the quiet rounds are to count alone: if they suffice
// for an interval, or are most of all there are.
func enough(quiet, all int) bool { return quiet >= 6 || 2*quiet > all }

// sample returns a figure of the rounds that count: the quiet ones, or all if
// those are not enough, which noisy tells.
func (d *data) sample(workload, server string, figure func(*measure.Cell) float64) (values []float64, noisy bool) {
	var all []float64
	for _, c := range d.cells[workload][server] {
		all = append(all, figure(c))
		if quiet(c) {
			values = append(values, figure(c))
		}
	}
	if !enough(len(values), len(all)) {
		return all, len(all) > 0
	}
	return values, false
}

// pairs is sample for the ratio of a figure of two servers in the same round.
func (d *data) pairs(workload, a, b string, figure func(*measure.Cell) float64) (values []float64, noisy bool) {
	var all []float64
	for at, x := range d.cells[workload][a] {
		y := d.cells[workload][b][at]
		if y == nil || figure(y) == 0 {
			continue
		}
		all = append(all, figure(x)/figure(y))
		if quiet(x) && quiet(y) {
			values = append(values, figure(x)/figure(y))
		}
	}
	if !enough(len(values), len(all)) {
		return all, len(all) > 0
	}
	return values, false
}

func cpu(c *measure.Cell) float64  { return c.CPU }
func rate(c *measure.Cell) float64 { return c.Rate }

func quantile(q float64) func(*measure.Cell) float64 {
	return func(c *measure.Cell) float64 { return c.Quantile(q) }
}

// cheapest returns which of the servers takes the least CPU for each message.
func (d *data) cheapest(workload string, names []string) string { return d.least(workload, names, cpu) }

// least returns which of the servers has the lowest median of a figure.
func (d *data) least(workload string, names []string, figure func(*measure.Cell) float64) (best string) {
	least := math.Inf(1)
	for _, name := range names {
		values, _ := d.sample(workload, name, figure)
		if m := stats.Median(values); m < least {
			best, least = name, m
		}
	}
	return best
}

// names of the echo servers of a family, and those of package net.
func names(family field.Family) (list []string) {
	for _, s := range field.Of(field.Servers, workload.Echo) {
		if s.Family == family {
			list = append(list, s.Name)
		}
	}
	return list
}

var netNames = []string{"net-4k", "net-64k"}

// workloads returns those that there are figures of, in the order of tables.
func (d *data) workloads() []workload.Workload {
	return slices.DeleteFunc(slices.Clone(workload.All), func(w workload.Workload) bool { return len(d.cells[w.Name]) == 0 })
}

// of returns those of the workloads that are for a role.
func (d *data) of(role workload.Role) []workload.Workload {
	return slices.DeleteFunc(d.workloads(), func(w workload.Workload) bool { return w.Role != role })
}

// num writes a number with three significant digits or, above, in whole.
func num(v float64) string {
	switch {
	case math.IsNaN(v):
		return "–"
	case math.Abs(v) >= 1000:
		return whole(v)
	case math.Abs(v) >= 100:
		return fmt.Sprintf("%.0f", v)
	case math.Abs(v) >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

// whole writes a number of bytes.
func whole(v float64) string { return thousands(int64(math.Round(v))) }

func thousands(n int64) string {
	if n < 0 {
		return "-" + thousands(-n)
	}
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s,%03d", thousands(n/1000), n%1000)
}
