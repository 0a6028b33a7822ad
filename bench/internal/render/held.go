package render

import (
	"fmt"
	"math"

	"github.com/eddyloop/eddy/bench/internal/field"
	"github.com/eddyloop/eddy/bench/internal/measure"
)

// heldTargets has a row for each thing that connections do.
func (r *writer) heldTargets() {
	for _, h := range measure.Holdings {
		if over := r.over(h, judged(h.Role)); !math.IsNaN(over) {
			r.row(fmt.Sprintf("%s: heap and stack at most %.2f of %s", h.Name, h.Limit, field.Bases[h.Role]), fmt.Sprintf("%.2f", over), verdict(over <= h.Limit))
		}
	}
}

// over returns the ratio of a server's memory to that of the base.
func (d *data) over(h measure.Holding, server string) float64 {
	return d.idle[h.Name][server].Over(d.idle[h.Name][field.Bases[h.Role]])
}

// held is the memory of servers while connections do something.
func (r *writer) held() {
	begun := false
	for _, h := range measure.Holdings {
		for _, s := range field.Of(field.Servers, h.Role) {
			m := r.idle[h.Name][s.Name]
			if m == nil {
				continue
			}
			if !begun {
				begun = true
				r.printf("\n## Memory under net/http and of handlers that wait\n\n")
				r.printf("Bytes for each connection, as above.\n")
				r.table("what", "server", "heap", "stack", "RSS", "kernel", "heap and stack over package net")
			}
			r.row("**"+h.Name+"**: "+h.What, s.Name, whole(m.Heap), whole(m.Stack), whole(m.RSS), whole(m.Kernel), num(r.over(h, s.Name)))
		}
	}
}
