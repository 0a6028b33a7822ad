package render

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/eddyloop/eddy/bench/internal/behave"
	"github.com/eddyloop/eddy/bench/internal/field"
	"github.com/eddyloop/eddy/bench/internal/measure"
)

// Report writes RESULTS.md and its plots into a folder.
func Report(dir string, records []measure.Record) error {
	d := sortOut(records)
	pictures, err := d.plots(filepath.Join(dir, "results"))
	if err != nil {
		return err
	}
	r := &writer{data: d, pictures: pictures}
	r.intro()
	r.targets()
	r.standing()
	r.beside()
	r.picture(cpuPlot, "Server CPU for each message")
	r.late()
	r.memory()
	r.held()
	r.syscalls()
	r.behaviour()
	if servers, err := os.ReadFile(filepath.Join(dir, "results", "servers.md")); err == nil {
		r.printf("\n%s", servers) // what is measured elsewhere: it tells how
	}
	r.skipped()
	r.machine()
	if len(d.cells) > 0 {
		every := &writer{data: d}
		every.everyWorkload()
		if err := os.WriteFile(filepath.Join(dir, "results", "workloads.md"), []byte(every.String()), 0o666); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(dir, "RESULTS.md"), []byte(r.String()), 0o666)
}

type writer struct {
	*data
	strings.Builder
	pictures map[string]bool // by name
}

func (r *writer) printf(format string, args ...any) { fmt.Fprintf(r, format, args...) }

// table writes the head of a table.
func (r *writer) table(columns ...string) {
	r.printf("\n| %s |\n|%s\n", strings.Join(columns, " | "), strings.Repeat(" --- |", len(columns)))
}

func (r *writer) row(cells ...string) { r.printf("| %s |\n", strings.Join(cells, " | ")) }

func (r *writer) picture(name, title string) {
	if r.pictures[name] {
		r.printf("\n![%s](results/%s)\n", title, name)
	}
}

func (r *writer) intro() {
	r.printf("# Results\n\n")
	r.printf("Written by `cmd/report`; [README.md](README.md) tells how it measures. The raw data are " +
		"[results/raw.jsonl](results/raw.jsonl). Compare figures within this page only.\n\n")
	for _, run := range r.runs {
		r.printf("- %s: `%s`\n", run.Run, run.Text)
	}
}

func (r *writer) machine() {
	if len(r.runs) == 0 {
		return
	}
	r.printf("\n## Machine and versions\n")
	r.table("what", "on the last run")
	facts := r.runs[len(r.runs)-1].Facts
	for _, name := range slices.Sorted(maps.Keys(facts)) {
		r.row(name, facts[name])
	}
}

func (r *writer) memory() {
	if len(r.idle[""]) == 0 {
		return
	}
	r.printf("\n## Memory of a quiet connection\n\n")
	r.printf("Bytes for each connection after one line of 64 B was echoed; heap and stacks after a collection, as the " +
		"Go runtime counts them. Kernel memory is the growth of the slab caches of the whole machine, both ends of the " +
		"connection included; it is not the server's doing.\n")
	r.table("server", "connections", "heap", "stack", "RSS", "kernel")
	for _, s := range field.Servers {
		m := r.idle[""][s.Name]
		if m == nil {
			continue
		}
		heap, stack := "–", "–"
		if s.Family == field.Go || s.Family == field.Eddy {
			heap, stack = whole(m.Heap), whole(m.Stack)
		}
		r.row(s.Name, thousands(int64(m.Conns)), heap, stack, whole(m.RSS), whole(m.Kernel))
	}
	r.picture(memoryPlot, "Memory of a quiet connection")
}

func (r *writer) syscalls() {
	if len(r.calls) == 0 {
		return
	}
	r.printf("\n## System calls for each message\n\n")
	r.printf("Counted by `strace -f -c`, which slows a server down several times: this says which calls, not how many " +
		"events one wait returns at full speed. Most of nanosleep and futex is the Go runtime's monitor, which works by " +
		"the clock and not by the message.\n")
	columns := []string{"server"}
	for _, w := range measure.Traced {
		columns = append(columns, w.What)
	}
	r.table(columns...)
	for _, s := range field.Servers {
		cells, any := []string{s.Name}, false
		for _, w := range measure.Traced {
			calls := r.calls[w.Name][s.Name]
			cells, any = append(cells, callList(calls)), any || calls != nil
		}
		if any {
			r.row(cells...)
		}
	}
}

// callList writes the most frequent first.
func callList(calls map[string]float64) string {
	sorted := slices.SortedFunc(maps.Keys(calls), func(a, b string) int {
		return cmp.Or(cmp.Compare(calls[b], calls[a]), cmp.Compare(a, b))
	})
	for i, name := range sorted {
		sorted[i] = fmt.Sprintf("%s %.2f", name, calls[name])
	}
	return strings.Join(sorted[:min(len(sorted), 6)], ", ")
}

func (r *writer) behaviour() {
	if len(r.data.behaviour) == 0 {
		return
	}
	r.printf("\n## Behaviour in trouble\n\n")
	r.printf("What programs saw (`behaviour/`, `internal/behave`).\n")
	r.table("trouble", "as one should", "otherwise", "no means for it")
	for _, probe := range behave.Probes {
		outcomes := r.data.behaviour[probe.Name]
		if len(outcomes) == 0 {
			continue
		}
		var good, bad, without []string
		for _, subject := range subjects(outcomes) {
			switch outcome := outcomes[subject]; {
			case strings.HasPrefix(outcome, "–"):
				without = append(without, subject)
			case strings.Contains(outcome, probe.Good):
				good = append(good, subject+": "+outcome)
			default:
				bad = append(bad, subject+": "+outcome)
			}
		}
		r.row("**"+probe.Name+"**: "+probe.What, strings.Join(good, "<br>"), strings.Join(bad, "<br>"), strings.Join(without, ", "))
	}
}

// subjects returns Eddy first, then the others in the order of tables.
func subjects(outcomes map[string]string) []string {
	order := []string{"eddy", "net", "gnet", "netpoll", "evio", "gaio", "cepoll", "libuv", "libevent", "tornado", "uvloop"}
	return slices.DeleteFunc(order, func(name string) bool { return outcomes[name] == "" })
}

func (r *writer) skipped() {
	if len(r.skips) == 0 {
		return
	}
	r.printf("\n## Not measured\n")
	r.table("what", "why", "servers")
	servers := map[[2]string][]string{}
	var order [][2]string
	for _, s := range r.skips {
		key := [2]string{cmp.Or(s.Workload, "everything"), s.Text}
		if servers[key] == nil {
			order = append(order, key)
		}
		if !slices.Contains(servers[key], s.Server) {
			servers[key] = append(servers[key], s.Server)
		}
	}
	for _, key := range order {
		r.row(key[0], key[1], strings.Join(servers[key], ", "))
	}
}
