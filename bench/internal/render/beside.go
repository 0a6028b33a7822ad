package render

import (
	"fmt"
	"slices"

	"github.com/eddyloop/eddy/bench/internal/field"
	"github.com/eddyloop/eddy/bench/internal/stats"
	"github.com/eddyloop/eddy/bench/internal/workload"
	"gonum.org/v1/plot"
)

// roles are those whose servers are compared with package net, in the order of
// tables.
var roles = []workload.Role{workload.Conn, workload.HTTP, workload.Relay, workload.Loops, workload.Waits}

// haproxyLimit is the most CPU of a relay over that of haproxy.
const haproxyLimit = 1.20

// base returns the server that those of a workload are compared with.
func base(name string) string {
	i := slices.IndexFunc(workload.All, func(w workload.Workload) bool { return w.Name == name })
	return field.Bases[workload.All[i].Role]
}

// judged returns Eddy's server of a role, to which the targets refer.
func judged(role workload.Role) string {
	for _, s := range field.Of(field.Servers, role) {
		if s.Family == field.Eddy {
			return s.Name
		}
	}
	return ""
}

// besideTargets has a row for each workload with a target, as a ratio to
// package net.
func (r *writer) besideTargets() {
	for _, w := range r.workloads() {
		own, net := judged(w.Role), field.Bases[w.Role]
		values, _ := r.pairs(w.Name, own, net, cpu)
		if w.Target == 0 || len(values) == 0 {
			continue
		}
		r.row(fmt.Sprintf("%s: CPU at most %.2f of %s", w.Name, w.Target, net), r.ratio(w.Name, own, net, cpu), within(stats.Of(values), w.Target))
	}
	for _, w := range r.of(workload.Relay) {
		if values, _ := r.pairs(w.Name, "eddy-relay", "haproxy", cpu); len(values) > 0 {
			r.row(fmt.Sprintf("%s: CPU at most %.2f of haproxy", w.Name, haproxyLimit), r.ratio(w.Name, "eddy-relay", "haproxy", cpu),
				within(stats.Of(values), haproxyLimit))
		}
	}
}

// within is the verdict on a ratio that has a limit.
func within(s stats.Summary, limit float64) string {
	if s.Median > limit && s.Low <= limit {
		return "equal within the error"
	}
	return verdict(s.Median <= limit)
}

// beside has a table for each role.
func (r *writer) beside() {
	begun := false
	for _, role := range roles {
		list := r.of(role)
		if len(list) == 0 {
			continue
		}
		if !begun {
			r.printf("\n## Beside package net\n\n")
			r.printf("Server CPU over that of the same program on package net, as above; for relays, over io.Copy, which splices.\n")
			begun = true
		}
		r.besideTable(role, list)
	}
	if begun {
		r.picture(besidePlot, "CPU over that of package net")
	}
}

func (r *writer) besideTable(role workload.Role, list []workload.Workload) {
	net := field.Bases[role]
	columns := []string{string(role), net + ", µs for each"}
	var others []string
	for _, s := range field.Of(field.Servers, role) {
		if s.Name != net {
			others = append(others, s.Name)
			columns = append(columns, s.Name+" / "+net)
		}
	}
	if role == workload.Loops {
		columns = append(columns, "two loops / one", "the same of messages a second")
	}
	r.table(append(columns, "pairs")...)
	for _, w := range list {
		costs, _ := r.sample(w.Name, net, cpu)
		cells := []string{w.Name + ": " + w.What, num(stats.Median(costs)) + " a " + w.Counted()}
		for _, other := range others {
			cells = append(cells, r.ratio(w.Name, other, net, cpu))
		}
		if role == workload.Loops {
			cells = append(cells, r.ratio(w.Name, "eddy-loops-2", "eddy-loops-1", cpu), r.ratio(w.Name, "eddy-loops-2", "eddy-loops-1", rate))
		}
		pairs, _ := r.pairs(w.Name, judged(role), net, cpu)
		r.row(append(cells, fmt.Sprint(len(pairs)))...)
	}
}

// besideSeries are the servers whose CPU is drawn over that of package net.
var besideSeries = []series{{"eddy-conn", blue}, {"eddy-http", sky}, {"eddy-relay", green}, {"haproxy", red},
	{"eddy-waits-message", pink}, {"eddy-loops-1", pink}, {"eddy-loops-2", orange}, {"net-procs-2", olive}}

func (d *data) besideDots() []*plot.Plot {
	var list []workload.Workload
	for _, role := range roles {
		list = append(list, d.of(role)...)
	}
	return d.dots("CPU for each message over that of package net", besideSeries, list, base)
}
