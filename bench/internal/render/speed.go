package render

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/eddyloop/eddy/bench/internal/field"
	"github.com/eddyloop/eddy/bench/internal/measure"
	"github.com/eddyloop/eddy/bench/internal/stats"
	"github.com/eddyloop/eddy/bench/internal/workload"
)

// ratio writes the median of the pairs of two servers, with what is known of
// it: its 95 % interval or, of fewer than 6 pairs, their range.
func (d *data) ratio(workload, a, b string, figure func(*measure.Cell) float64) string {
	if a == b || b == "" {
		return "–"
	}
	values, noisy := d.pairs(workload, a, b, figure)
	s := stats.Of(values)
	if s.N == 0 {
		return "–"
	}
	text := fmt.Sprintf("%.2f (%.2f..%.2f)", s.Median, s.Min, s.Max)
	if !math.IsNaN(s.Low) {
		text = fmt.Sprintf("%.2f [%.2f, %.2f]", s.Median, s.Low, s.High)
	}
	if noisy {
		text += " †"
	}
	return text
}

// standing is where Eddy stands on each workload.
func (r *writer) standing() {
	echoes := r.of(workload.Echo)
	if len(echoes) == 0 {
		return
	}
	r.printf("\n## CPU for each message\n\n")
	r.printf("The median of the ratios of the same round; below 1, Eddy takes less. [low, high] is the 95 %% interval of the " +
		"median, (min..max) the range of fewer than 6 pairs. The best Go peer is the cheapest, `net` with either buffer " +
		"included. \"C again\" is a second copy of C: what the method makes of no difference. † marks figures from rounds " +
		"in which the machine was busy with other things. All figures of all servers are in " +
		"[results/workloads.md](results/workloads.md).\n")
	r.table("workload", "callback / C", "task / C", "C again / C", "callback / best Go peer", "that is", "pairs")
	for _, w := range echoes {
		best := r.cheapest(w.Name, names(field.Go))
		pairs, _ := r.pairs(w.Name, "eddy-callback", field.LimitName, cpu)
		if len(pairs) == 0 {
			pairs, _ = r.pairs(w.Name, "eddy-callback", best, cpu)
		}
		r.row(w.Name, r.ratio(w.Name, "eddy-callback", field.LimitName, cpu), r.ratio(w.Name, "eddy-task", field.LimitName, cpu),
			r.ratio(w.Name, "cepoll-again", field.LimitName, cpu), r.ratio(w.Name, "eddy-callback", best, cpu),
			cmp.Or(best, "–"), fmt.Sprint(len(pairs)))
	}
	r.picture(ratioPlot, "CPU for each message over that of C")
	r.printf("\nThe callback style over each Go peer:\n")
	r.table(append([]string{"workload"}, names(field.Go)...)...)
	for _, w := range echoes {
		cells := []string{w.Name}
		for _, name := range names(field.Go) {
			cells = append(cells, r.ratio(w.Name, "eddy-callback", name, cpu))
		}
		r.row(cells...)
	}
	r.picture(latencyPlot, "Latency")
}

// everyWorkload is a page of its own.
func (r *writer) everyWorkload() {
	r.printf("# Every workload\n\n")
	r.printf("Part of [RESULTS.md](../RESULTS.md). Medians of the rounds; the fewest microseconds of CPU first. Where the load's core is as busy as the " +
		"server's (\"CPUs\"), messages a second are as much the load's limit as the server's: read CPU.\n")
	for _, w := range r.workloads() {
		r.workload(w)
	}
}

func (r *writer) workload(w workload.Workload) {
	r.printf("\n## %s\n\n%s. CPU is for each %s.\n", w.Name, w.What, w.Counted())
	best, net := r.cheapest(w.Name, names(field.Go)), r.cheapest(w.Name, netNames)
	if base, ok := field.Bases[w.Role]; ok {
		best, net = base, base
	}
	r.table("server", "a second", "min..max", "CPU µs", "p50 µs", "p99", "p99.9", "CPUs: server, load",
		"CPU / C", "CPU / net", "CPU / best Go", "rate / C", "rounds quiet/all")
	var present []string
	for _, s := range field.Servers {
		if len(r.cells[w.Name][s.Name]) > 0 {
			present = append(present, s.Name)
		}
	}
	median := func(name string, figure func(*measure.Cell) float64) float64 {
		values, _ := r.sample(w.Name, name, figure)
		return stats.Median(values)
	}
	slices.SortStableFunc(present, func(a, b string) int { return cmp.Compare(median(a, cpu), median(b, cpu)) })
	for _, name := range present {
		rates, _ := r.sample(w.Name, name, rate)
		s := stats.Of(rates)
		calm := 0
		for _, c := range r.cells[w.Name][name] {
			if quiet(c) {
				calm++
			}
		}
		r.row(name, num(s.Median), num(s.Min)+".."+num(s.Max), num(median(name, cpu)),
			num(median(name, quantile(0.5))), num(median(name, quantile(0.99))), num(median(name, quantile(0.999))),
			fmt.Sprintf("%.2f, %.2f", median(name, func(c *measure.Cell) float64 { return c.ServerUtil }),
				median(name, func(c *measure.Cell) float64 { return c.ClientUtil })),
			r.ratio(w.Name, name, field.LimitName, cpu), r.ratio(w.Name, name, net, cpu), r.ratio(w.Name, name, best, cpu), r.ratio(w.Name, name, field.LimitName, rate),
			fmt.Sprintf("%d/%d", calm, len(r.cells[w.Name][name])))
	}
}
