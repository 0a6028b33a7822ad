// Package workload names what the servers are made to do.
package workload

import (
	"fmt"
	"slices"
	"strings"
)

// Role is what servers are for. A workload is for the servers of one role.
type Role string

// The roles: an echo server in each library; and, beside package net, a
// goroutine on a net.Conn, net/http, a relay, one loop or two, and handlers that
// wait for something else before they answer.
const (
	Echo  Role = ""
	Conn  Role = "net.Conn"
	HTTP  Role = "net/http"
	Relay Role = "relay"
	Loops Role = "loops"
	Waits Role = "waits"
)

// Workload is one kind of load.
type Workload struct {
	Name   string
	What   string
	Role   Role
	Mode   string   // of the server
	Serve  []string // further flags of the server
	Load   []string // flags of the load generator
	Asks   bool     // the load is load/ask, not load/load.c
	TLS    bool
	Unit   string  // what is counted, "message" if empty
	Target float64 // the most CPU for each, over that of the role's base; 0 is no target
}

// All is every workload, in the order of tables.
var All = append(echoes(), beside()...)

func echoes() []Workload {
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

// beside are the workloads for servers that have a counterpart on package net.
func beside() []Workload {
	conn := func(name, what, mode, load string, target float64) Workload {
		return Workload{Name: "conn-" + name, What: "net.Conn, " + what, Role: Conn, Mode: mode, Load: strings.Fields(load), Target: target}
	}
	bulk := func(name, what, size string) Workload {
		return Workload{Name: "conn-" + name, What: "net.Conn, " + what, Role: Conn, Mode: "sink", Serve: []string{"-buf", size},
			Load: strings.Fields("-p sink -c 1 -up 1048576"), Asks: true, Unit: "MiB", Target: 1.00}
	}
	web := func(name, what, load, unit string, target float64) Workload {
		return Workload{Name: "http-" + name, What: "net/http, " + what, Role: HTTP, Mode: "http", Load: strings.Fields(load), Asks: true,
			Unit: unit, Target: target}
	}
	relay := func(name, what, load, unit string, target float64) Workload {
		return Workload{Name: "relay-" + name, What: "relay to an echo server, " + what, Role: Relay, Mode: "raw", Load: strings.Fields(load),
			Unit: unit, Target: target}
	}
	loops := func(name, what, load string) Workload {
		return Workload{Name: "loops-" + name, What: "loops, lines, " + what, Role: Loops, Mode: "line", Load: strings.Fields(load)}
	}
	secure := func(w Workload) Workload {
		w.TLS = true
		return w
	}
	return []Workload{
		conn("ping", "1 connection, 64 B", "raw", "-c 1", 1.00),
		conn("c100", "100 connections, 64 B", "raw", "-c 100", 1.00),
		conn("churn", "100 at a time: connect, one line of 64 B, close", "line", "-m churn -c 100", 1.00),
		bulk("read-4k", "1 connection, uploads of 1 MiB, reads of 4 KiB", "4096"),
		bulk("read-32k", "1 connection, uploads of 1 MiB, reads of 32 KiB", "32768"),
		secure(conn("tls-c100", "TLS 1.3, 100 connections, 64 B", "raw", "-T -c 100", 1.00)),
		secure(conn("tls-64k", "TLS 1.3, 10 connections, 64 KiB", "raw", "-T -c 10 -s 65536", 1.00)),
		web("small", "keep-alive, 100 connections, answers of 12 B", "-p http1 -c 100", "request", 1.00),
		web("up", "keep-alive, 10 connections, uploads of 1 MiB", "-p http1 -c 10 -up 1048576", "request", 1.05),
		web("down", "keep-alive, 10 connections, answers of 1 MiB", "-p http1 -c 10 -down 1048576", "request", 1.00),
		web("close", "100 at a time: connect, one request, close", "-p http1 -c 100 -close", "request", 1.00),
		web("h2c", "HTTP/2 in clear, 10 connections of 10 streams, answers of 12 B", "-p http2 -c 10 -d 10", "request", 1.00),
		web("h2c-up", "HTTP/2 in clear, 10 connections of 10 streams, uploads of 64 KiB", "-p http2 -c 10 -d 10 -up 65536", "request", 1.05),
		secure(web("h1-tls", "keep-alive, TLS 1.3, 100 connections, answers of 12 B", "-p http1 -T -c 100", "request", 1.00)),
		secure(web("h2-tls", "HTTP/2, TLS 1.3, 10 connections of 10 streams, answers of 12 B", "-p http2 -T -c 10 -d 10", "request", 1.00)),
		relay("bulk", "1 connection, 1 MiB, 4 in flight", "-c 1 -s 1048576 -d 4", "MiB there and back", 1.00),
		relay("bulk50", "50 connections, 1 MiB", "-c 50 -s 1048576", "MiB there and back", 1.10),
		relay("1k", "1 connection, 1 KiB", "-c 1 -s 1024", "", 0.70),
		relay("1k-c50", "50 connections, 1 KiB", "-c 50 -s 1024", "", 0.70),
		loops("c100", "100 connections, 64 B", "-c 100"),
		loops("deep16", "100 connections, 64 B, 16 in flight", "-c 100 -d 16"),
		{Name: "waits-10k", What: "handlers that wait 1 ms before they answer, 10,000 connections, 64 B", Role: Waits, Mode: "wait",
			Load: strings.Fields("-c 10000"), Target: 1.00},
	}
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
	args := append([]string{"-mode", w.Mode}, w.Serve...)
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
