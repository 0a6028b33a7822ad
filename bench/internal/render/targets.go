package render

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/eddyloop/eddy/bench/internal/field"
	"github.com/eddyloop/eddy/bench/internal/measure"
	"github.com/eddyloop/eddy/bench/internal/stats"
)

// What Eddy is to reach: CPU for each message over that of the limit, where the
// second figure is the aim, and throughput over that of the limit.
const (
	callbackLimit, callbackAim = 1.10, 1.05
	taskLimit, taskAim         = 1.15, 1.10
	deepRate                   = 0.93
	messageLimit               = 1.05 // of callbacks
	messageHeap                = 300  // bytes of a quiet connection
)

// compared is the ratio of two servers on a workload.
type compared struct {
	workload string
	stats.Summary
	text string
}

// compare returns the ratio of a to b on each workload that has one. A noisy
// machine's figures count, marked.
func (d *data) compare(a, b func(workload string) string, figure func(*measure.Cell) float64) (list []compared) {
	for _, w := range d.workloads() {
		values, _ := d.pairs(w.Name, a(w.Name), b(w.Name), figure)
		if len(values) > 0 {
			list = append(list, compared{w.Name, stats.Of(values), d.ratio(w.Name, a(w.Name), b(w.Name), figure)})
		}
	}
	return list
}

func always(name string) func(string) string { return func(string) string { return name } }

// targets begins the report: what was to be reached, and what was.
func (r *writer) targets() {
	if len(r.cells)+len(r.lag)+len(r.idle) == 0 {
		return
	}
	r.printf("\n## Against the targets\n\n")
	r.printf("Ratios are medians of the rounds with their 95 %% intervals; `callback` and `task` are Eddy's styles, C is the " +
		"epoll server by hand. CPU is the server's for each message. † marks figures from rounds in which the machine was busy with other things.\n")
	r.table("target", "reached", "")
	r.limited("callback: CPU at most %.2f of C (aim %.2f)", "eddy-callback", callbackLimit, callbackAim)
	r.limited("task: CPU at most %.2f of C (aim %.2f)", "eddy-task", taskLimit, taskAim)
	r.messages()
	r.aheadOfPeers()
	r.deep()
	r.tail()
	r.heap()
	r.leading("dribble")
	r.leading("churn")
	r.slowReader()
	r.besideTargets()
	r.heldTargets()
	r.lagTargets()
	r.again()
}

func (r *writer) limited(name, server string, limit, aim float64) {
	list := r.compare(always(server), always(field.LimitName), cpu)
	if len(list) == 0 {
		return
	}
	within, surely, aimed := 0, 0, 0
	var beyond []string
	for _, c := range list {
		switch {
		case c.Median > limit:
			beyond = append(beyond, c.workload+" "+c.text)
		case c.High <= limit:
			surely++
			fallthrough
		default:
			within++
		}
		if c.Median <= aim {
			aimed++
		}
	}
	text := fmt.Sprintf("%d of %d workloads, with the whole interval on %d; the aim on %d", within, len(list), surely, aimed)
	if len(beyond) > 0 {
		text += "; beyond: " + strings.Join(beyond, ", ")
	}
	r.row(fmt.Sprintf(name, limit, aim), text, verdict(len(beyond) == 0))
}

// messages are compared with callbacks, whose price they shall have.
func (r *writer) messages() {
	list := r.compare(always("eddy-message"), always("eddy-callback"), cpu)
	var beyond []string
	for _, c := range list {
		if c.Median > messageLimit {
			beyond = append(beyond, c.workload+" "+c.text)
		}
	}
	if len(list) > 0 {
		text := fmt.Sprintf("%d of %d workloads", len(list)-len(beyond), len(list))
		if len(beyond) > 0 {
			text += "; beyond: " + strings.Join(beyond, ", ")
		}
		r.row(fmt.Sprintf("message: CPU at most %.2f of callback", messageLimit), text, verdict(len(beyond) == 0))
	}
	if own := r.idle[""]["eddy-message"]; own != nil {
		r.row(fmt.Sprintf("message: heap of a quiet connection at most %d B", messageHeap),
			whole(own.Heap)+" B", verdict(own.Heap <= messageHeap))
	}
}

func verdict(met bool) string {
	if met {
		return "met"
	}
	return "**short**"
}

// aheadOfPeers is against each Go peer: ahead is an interval below 1.
func (r *writer) aheadOfPeers() {
	ahead, few, all := 0, 0, 0
	var level, behind []string
	for _, peer := range names(field.Go) {
		for _, c := range r.compare(always("eddy-callback"), always(peer), cpu) {
			all++
			switch {
			case c.High < 1:
				ahead++
			case c.Low > 1:
				behind = append(behind, fmt.Sprintf("%s on %s %s", peer, c.workload, c.text))
			case math.IsNaN(c.Low):
				few++
			default:
				level = append(level, fmt.Sprintf("%s on %s %s", peer, c.workload, c.text))
			}
		}
	}
	if all == 0 {
		return
	}
	text := fmt.Sprintf("surely ahead in %d of %d pairs of peer and workload", ahead, all)
	for _, rest := range []struct {
		name string
		list []string
	}{{"behind", behind}, {"neither ahead nor behind", level}} {
		if len(rest.list) > 0 {
			text += fmt.Sprintf("; %s in %d: %s", rest.name, len(rest.list), strings.Join(rest.list, ", "))
		}
	}
	if few > 0 {
		text += fmt.Sprintf("; too few rounds to tell in %d", few)
	}
	r.row("callback: ahead of every Go peer in CPU, on every workload", text, verdict(ahead == all))
}

func (r *writer) deep() {
	list := r.compare(always("eddy-callback"), always(field.LimitName), rate)
	for _, c := range list {
		if c.workload == "line-deep16" {
			r.row(fmt.Sprintf("callback: 16-deep lines at least %.2f of C's throughput", deepRate), c.text, verdict(c.Median >= deepRate))
		}
	}
}

// tail compares p99 with the Go peer that has the lowest.
func (r *writer) tail() {
	p99 := quantile(0.99)
	for _, workload := range []string{"raw-c1000", "line-c1000"} {
		best := r.least(workload, names(field.Go), p99)
		values, _ := r.pairs(workload, "eddy-callback", best, p99)
		if len(values) == 0 {
			continue
		}
		r.row("callback: p99 no worse than the best Go peer's, "+workload,
			fmt.Sprintf("%s of %s's", r.ratio(workload, "eddy-callback", best, p99), best), orLevel(stats.Of(values)))
	}
}

// orLevel is the verdict on a ratio that should be at most 1.
func orLevel(s stats.Summary) string {
	if s.Median > 1 && s.Low <= 1 {
		return "equal within the error"
	}
	return verdict(s.Median <= 1)
}

func (r *writer) heap() {
	own, best, least := r.idle[""]["eddy-callback"], "", math.Inf(1)
	for _, name := range names(field.Go) {
		if m := r.idle[""][name]; m != nil && m.Heap < least {
			best, least = name, m.Heap
		}
	}
	if own != nil && best != "" {
		r.row("callback: heap of a quiet connection lower than every Go peer's",
			fmt.Sprintf("%s B; %s has %s B", whole(own.Heap), best, whole(least)), verdict(own.Heap < least))
	}
}

// leading compares with the cheapest of all but the limit.
func (r *writer) leading(workload string) {
	best := r.least(workload, slices.Concat(names(field.Go), names(field.Other)), cpu)
	values, _ := r.pairs(workload, "eddy-callback", best, cpu)
	if len(values) > 0 {
		r.row(workload+": callback best or equal best, C by hand aside",
			fmt.Sprintf("%s of %s", r.ratio(workload, "eddy-callback", best, cpu), best), orLevel(stats.Of(values)))
	}
}

func (r *writer) slowReader() {
	outcomes := r.data.behaviour["slow-reader"]
	own, best, least := math.NaN(), "", math.Inf(1)
	for _, subject := range subjects(outcomes) {
		var at, held float64
		if n, _ := fmt.Sscanf(outcomes[subject], "stops at %f MiB, holds %f MiB", &at, &held); n < 2 {
			continue
		}
		if subject == "eddy" {
			own = held
		} else if held < least {
			best, least = subject, held
		}
	}
	if best != "" {
		r.row("slow reader: holds least or as little as the best",
			fmt.Sprintf("%.1f MiB; %s %.1f MiB", own, best, least), verdict(own <= least))
	}
}

// again is how far the method is to be trusted: the limit beside itself.
func (r *writer) again() {
	list := r.compare(always("cepoll-again"), always(field.LimitName), cpu)
	contain, told := 0, 0
	var widths []float64
	var others []string
	for _, c := range list {
		if math.IsNaN(c.Low) {
			continue
		}
		told++
		if c.Low <= 1 && c.High >= 1 {
			contain++
		} else {
			others = append(others, c.workload+" "+c.text)
		}
		widths = append(widths, (c.High-c.Low)/2)
	}
	if told == 0 {
		return
	}
	text := fmt.Sprintf("on %d of %d workloads the interval contains 1.00; its half width is ±%.3f in the median, ±%.3f at most",
		contain, told, stats.Median(widths), slices.Max(widths))
	if len(others) > 0 {
		text += "; not on " + strings.Join(others, ", ")
	}
	r.row("the method: C beside a second copy of itself, where 19 of 20 should", text, "")
}
