package render

import (
	"fmt"
	"math"
	"time"

	"github.com/eddyloop/eddy/bench/internal/field"
	"github.com/eddyloop/eddy/bench/internal/lag"
	"github.com/eddyloop/eddy/bench/internal/measure"
	"github.com/eddyloop/eddy/bench/internal/stats"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
)

// lagLimit is how late a timer of 1 ms may be at the 99th percentile, beyond the
// work of one message.
const lagLimit = 5 * time.Millisecond

// lagOf returns a figure, in ms, of the rounds of a load that count: the quiet
// ones, or all if those are not most.
func (d *data) lagOf(load, server string, figure func(*measure.Lag) float64) (s stats.Summary, mark string) {
	var all, quiet []float64
	for _, l := range d.lag[load][server] {
		all = append(all, figure(l)/1e3)
		if l.Foreign <= measure.Busy {
			quiet = append(quiet, figure(l)/1e3)
		}
	}
	if !enough(len(quiet), len(all)) {
		return stats.Of(all), " †"
	}
	return stats.Of(quiet), ""
}

func p50(l *measure.Lag) float64  { return l.P50 }
func p99(l *measure.Lag) float64  { return l.P99 }
func most(l *measure.Lag) float64 { return l.Max }
func turn(l *measure.Lag) float64 { return l.Turn }
func work(l *measure.Lag) float64 { return l.Work * 1e3 } // not ms

func (d *data) lagText(load, server string, figure func(*measure.Lag) float64) string {
	s, mark := d.lagOf(load, server, figure)
	if s.N == 0 {
		return "–"
	}
	return fmt.Sprintf("%s (%s..%s)%s", num(s.Median), num(s.Min), num(s.Max), mark)
}

// lagTargets has a row for each load.
func (r *writer) lagTargets() {
	for _, load := range lag.Loads {
		own, _ := r.lagOf(load.Name, "eddy", p99)
		if own.N == 0 || load.Work == "-" {
			continue
		}
		limit := (lagLimit + load.Message).Seconds() * 1e3
		r.row(fmt.Sprintf("a 1 ms timer beside %s: p99 at most %.3g ms late", load.Name, limit),
			fmt.Sprintf("%s ms; on net %s ms; beside nothing %s ms", r.lagText(load.Name, "eddy", p99), r.lagText(load.Name, "net", p99),
				r.lagText("nothing", "eddy", p99)), verdict(own.Median <= limit))
	}
}

// late is the section of the report.
func (r *writer) late() {
	if len(r.lag) == 0 {
		return
	}
	r.printf("\n## A timer of 1 ms beside a load\n\n")
	r.printf("How late the timer is in ms: the median of the rounds and their range. A timer that is 10 ms late counts as the " +
		"10 that a clock would have set off by then. The timer of Eddy is the loop's that has the load; that of net is package " +
		"time's. † as above.\n")
	r.table("load", "server", "p50", "p99", "at most", "longest turn", "done a second")
	for _, load := range lag.Loads {
		for _, server := range measure.LagServers {
			if len(r.lag[load.Name][server]) == 0 {
				continue
			}
			turns := "–"
			if server == "eddy" {
				turns = r.lagText(load.Name, server, turn)
			}
			done, _ := r.lagOf(load.Name, server, work)
			r.row("**"+load.Name+"**: "+load.What, server, r.lagText(load.Name, server, p50), r.lagText(load.Name, server, p99),
				r.lagText(load.Name, server, most), turns, num(done.Median)+" "+load.Work)
		}
	}
	r.picture(lagPlot, "A timer of 1 ms beside a load")
}

// lagBars is one tile: p99 beside each load.
func (d *data) lagBars() []*plot.Plot {
	var loads []string
	worst := 0.0
	for _, load := range lag.Loads {
		for _, server := range measure.LagServers {
			if s, _ := d.lagOf(load.Name, server, p99); s.N > 0 {
				worst = math.Max(worst, s.Median)
			}
		}
		if len(d.lag[load.Name]) > 0 {
			loads = append(loads, load.Name)
		}
	}
	if len(loads) == 0 {
		return nil
	}
	b := newBars("how late a timer of 1 ms is at the 99th percentile: Eddy (upper bar) and net (lower bar)", "ms", loads, math.Min(worst, 100))
	for i, load := range loads {
		for at, server := range measure.LagServers {
			s, _ := d.lagOf(load, server, p99)
			colour := familyColour[field.Eddy]
			if server == "net" {
				colour = familyColour[field.Go]
			}
			if s.N > 0 && b.add(i, s.Median, 0.19-0.38*float64(at), vg.Points(9), colour, num(s.Median)) != nil {
				return nil
			}
		}
	}
	p, err := b.finish()
	if err != nil {
		return nil
	}
	return []*plot.Plot{p}
}
