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
	r.standing()
	r.speed()
	r.memory()
	r.syscalls()
	r.behaviour()
	r.skipped()
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
	r.printf("Written by `cmd/report`; [README.md](README.md) tells how to run it and how it measures. " +
		"The raw data are [results/raw.jsonl](results/raw.jsonl). Compare figures within this page only.\n\n")
	for _, run := range r.runs {
		r.printf("- %s: `%s`\n", run.Run, run.Text)
	}
	if len(r.runs) == 0 {
		return
	}
	r.table("what", "on the last run")
	facts := r.runs[len(r.runs)-1].Facts
	for _, name := range slices.Sorted(maps.Keys(facts)) {
		r.row(name, facts[name])
	}
}

func (r *writer) memory() {
	if len(r.idle) == 0 {
		return
	}
	r.printf("\n## Memory of a quiet connection\n\n")
	r.printf("Bytes for each connection after one line of 64 B was echoed; heap and stacks after a collection, as the " +
		"Go runtime counts them. Kernel memory is the growth of the slab caches of the whole machine, both ends of the " +
		"connection included; it is not the server's doing.\n")
	r.table("server", "connections", "heap", "stack", "RSS", "kernel")
	for _, s := range field.Servers {
		m := r.idle[s.Name]
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
	for _, w := range measure.Traced {
		if len(r.calls[w.Name]) == 0 {
			continue
		}
		r.printf("\n**%s**\n", w.What)
		r.table("server", "calls")
		for _, s := range field.Servers {
			if calls := r.calls[w.Name][s.Name]; calls != nil {
				r.row(s.Name, callList(calls))
			}
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
	r.printf("What programs saw (`behaviour/`, `internal/behave`). A dash says that a peer has no means for it.\n")
	for _, probe := range behave.Probes {
		outcomes := r.data.behaviour[probe.Name]
		if len(outcomes) == 0 {
			continue
		}
		r.printf("\n**%s**: %s\n", probe.Name, probe.What)
		r.table("peer", "as one should", "outcome")
		for _, subject := range subjects(outcomes) {
			mark := " "
			if strings.Contains(outcomes[subject], probe.Good) {
				mark = "✓"
			}
			r.row(subject, mark, outcomes[subject])
		}
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
	r.table("server", "what", "why", "times")
	count := map[[3]string]int{}
	var order [][3]string
	for _, s := range r.skips {
		key := [3]string{s.Server, s.Workload, s.Text}
		if count[key]++; count[key] == 1 {
			order = append(order, key)
		}
	}
	for _, key := range order {
		what := key[1]
		if what == "" {
			what = "everything"
		}
		r.row(key[0], what, key[2], fmt.Sprint(count[key]))
	}
}
