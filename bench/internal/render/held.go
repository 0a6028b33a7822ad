package render

import (
	"fmt"
	"math"

	"github.com/eddyloop/eddy/bench/internal/field"
	"github.com/eddyloop/eddy/bench/internal/measure"
	"github.com/eddyloop/eddy/bench/internal/workload"
)

// heldTargets has a row for each thing that connections do to net/http.
func (r *writer) heldTargets() {
	for _, h := range measure.Holdings {
		if over := r.over(h.Name, judged(workload.HTTP)); !math.IsNaN(over) {
			r.row(fmt.Sprintf("%s: heap and stack at most %.2f of net-http", h.Name, h.Limit), fmt.Sprintf("%.2f", over), verdict(over <= h.Limit))
		}
	}
}

// over returns the ratio of a server's memory to that of the base.
func (d *data) over(holding, server string) float64 {
	return d.idle[holding][server].Over(d.idle[holding][field.Bases[workload.HTTP]])
}

// held is the memory of net/http.
func (r *writer) held() {
	begun := false
	for _, h := range measure.Holdings {
		for _, s := range field.Of(field.Servers, workload.HTTP) {
			m := r.idle[h.Name][s.Name]
			if m == nil {
				continue
			}
			if !begun {
				begun = true
				r.printf("\n## Memory under net/http\n\n")
				r.printf("Bytes for each connection, as above.\n")
				r.table("what", "server", "heap", "stack", "RSS", "kernel", "heap and stack over net-http")
			}
			r.row("**"+h.Name+"**: "+h.What, s.Name, whole(m.Heap), whole(m.Stack), whole(m.RSS), whole(m.Kernel), num(r.over(h.Name, s.Name)))
		}
	}
}
