// Package workload names what the servers are made to do.
package workload

import (
	"fmt"
	"slices"
	"strings"
)

// Workload is one kind of load.
type Workload struct {
	Name string
	What string
	Mode string   // of the server
	Load []string // flags of the load generator
	TLS  bool
	Unit string // what is counted, "message" if empty
}

// All is every workload, in the order of tables.
var All = list()

func list() []Workload {
	type shape struct {
		name, what, load string
	}
	shapes := []shape{
		{"ping", "1 connection, 64 B", "-c 1"},
		{"c100", "100 connections, 64 B", "-c 100"},
		{"c1000", "1,000 connections, 64 B", "-c 1000"},
		{"deep16", "100 connections, 64 B, 16 in flight", "-c 100 -d 16"},
		{"4k", "100 connections, 4 KiB", "-c 100 -s 4096"},
		{"64k", "10 connections, 64 KiB", "-c 10 -s 65536"},
		{"10k", "10,000 connections of which 100 active, 64 B", "-c 10000 -A 100"},
	}
	var all []Workload
	for _, mode := range []string{"raw", "line"} {
		for _, s := range shapes {
			all = append(all, Workload{Name: mode + "-" + s.name, What: mode + ", " + s.what, Mode: mode,
				Load: strings.Fields(s.load)})
		}
	}
	return append(all,
		Workload{Name: "open", What: "lines, 100 connections, 64 B, 20,000 a second at fixed times", Mode: "line",
			Load: strings.Fields("-c 100 -r 20000")},
		Workload{Name: "churn", What: "100 at a time: connect, one line of 64 B, close", Mode: "line",
			Load: strings.Fields("-m churn -c 100"), Unit: "connection"},
		Workload{Name: "broadcast", What: "each line of 64 B goes to 1,000 connections", Mode: "broadcast",
			Load: strings.Fields("-m broadcast -c 1000"), Unit: "delivery"},
		Workload{Name: "dribble", What: "lines of 1 MiB that arrive in pieces of 64 B, 25,000 a second", Mode: "line",
			Load: strings.Fields("-m dribble -c 1 -s 1048576 -r 25000"), Unit: "piece"},
		Workload{Name: "tls-c100", What: "TLS 1.3, lines, 100 connections, 64 B", Mode: "line", TLS: true,
			Load: strings.Fields("-T -c 100")},
		Workload{Name: "tls-64k", What: "TLS 1.3, raw, 10 connections, 64 KiB", Mode: "raw", TLS: true,
			Load: strings.Fields("-T -c 10 -s 65536")},
	)
}

// Find returns the workloads of those names, or all.
func Find(names string) ([]Workload, error) {
	var found []Workload
	list := strings.Split(names, ",")
	for _, w := range All {
		if names == "all" || slices.Contains(list, w.Name) {
			found = append(found, w)
		}
	}
	if names != "all" && len(found) != len(list) {
		return nil, fmt.Errorf("unknown or repeated workload in %s", names)
	}
	return found, nil
}

// Args returns the arguments of the server for w.
func (w Workload) Args() []string {
	args := []string{"-mode", w.Mode}
	if w.TLS {
		args = append(args, "-tls")
	}
	return args
}

// Counted returns what a figure is for each of.
func (w Workload) Counted() string {
	if w.Unit == "" {
		return "message"
	}
	return w.Unit
}
