package main

import (
	"context"
	"expvar"
	"fmt"
	"io"
	"time"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
)

// stats are what the admin page shows. Times are in seconds, sizes in bytes.
type stats struct {
	Listening   []string    `json:"listening"`
	Draining    bool        `json:"draining"`
	Uptime      float64     `json:"uptime"`
	Connections int         `json:"connections"`
	Accepted    uint64      `json:"accepted"`
	Refused     uint64      `json:"refused"`
	Pauses      uint64      `json:"pauses"`
	Handshakes  uint64      `json:"handshake_errors"`
	Messages    uint64      `json:"messages"`
	Received    uint64      `json:"received"`
	Sent        uint64      `json:"sent"`
	Backlog     int64       `json:"backlog"`
	Budget      int64       `json:"budget"`
	Loops       []loopStats `json:"loops"`
}

type loopStats struct {
	Busy     float64 `json:"busy"`
	Turns    uint64  `json:"turns"`
	Events   uint64  `json:"events"`
	Longest  float64 `json:"longest"`
	Failures uint64  `json:"failures"`
	Queue    int     `json:"queue"`
	Handlers int     `json:"handlers"`
}

var started = time.Now()

// loopPatience is how long the admin page waits for a loop that is busy to list its streams.
const loopPatience = 50 * time.Millisecond

func (d *echod) stats() *stats {
	server := d.server.Stats()
	s := &stats{
		Listening: d.bound, Draining: d.draining.Load(), Uptime: time.Since(started).Seconds(),
		Connections: server.Conns, Accepted: server.Accepted, Refused: server.Refused,
		Pauses: server.AcceptPauses, Handshakes: server.HandshakeErrors, Backlog: d.backlog(),
	}
	if budget := d.server.Stream.Budget; budget != nil {
		s.Budget = budget.Used()
	}
	for _, l := range d.group.Loops() {
		count := d.echo.loops[l]
		s.Messages += count.messages.Load()
		s.Received += count.received.Load()
		s.Sent += count.sent.Load()
		s.Loops = append(s.Loops, statsOf(l))
	}
	return s
}

// backlog returns how many bytes the connections have yet to send. A loop that does not
// answer in time is left out.
func (d *echod) backlog() int64 {
	ctx, cancel := context.WithTimeout(context.Background(), loopPatience)
	defer cancel()
	totals, _ := iostream.Total(ctx, d.group.Loops()...)
	return totals.Backlog
}

func statsOf(l *ioloop.Loop) loopStats {
	n := l.Stats()
	return loopStats{
		Busy: n.Busy.Seconds(), Turns: n.Turns, Events: n.Events, Longest: n.LongestTurn.Seconds(),
		Failures: n.Failures, Queue: n.Queue, Handlers: n.Handlers,
	}
}

// publish has /debug/vars show the numbers.
func (d *echod) publish() {
	if expvar.Get("echod") == nil {
		expvar.Publish("echod", expvar.Func(func() any { return d.stats() }))
	}
}

// writeMetrics writes the numbers in the text format of Prometheus.
func writeMetrics(w io.Writer, s *stats) {
	metric := func(name, kind, help string, value any) {
		fmt.Fprintf(w, "# HELP %s %s\n# TYPE %s %s\n%s %v\n", name, help, name, kind, name, value)
	}
	metric("echod_uptime_seconds", "gauge", "Time since the daemon was started.", s.Uptime)
	metric("echod_connections", "gauge", "Connections that are open.", s.Connections)
	metric("echod_connections_accepted_total", "counter", "Connections that were accepted.", s.Accepted)
	metric("echod_connections_refused_total", "counter", "Connections that were closed unserved.", s.Refused)
	metric("echod_accept_pauses_total", "counter", "Times that accepting was put off for want of descriptors or memory.", s.Pauses)
	metric("echod_handshake_errors_total", "counter", "Connections that did not agree on TLS.", s.Handshakes)
	metric("echod_messages_total", "counter", "Messages that were received, or generated.", s.Messages)
	metric("echod_received_bytes_total", "counter", "Bytes of messages that were received.", s.Received)
	metric("echod_sent_bytes_total", "counter", "Bytes that were handed over to be sent.", s.Sent)
	metric("echod_backlog_bytes", "gauge", "Bytes that wait for clients to take them.", s.Backlog)
	metric("echod_budget_used_bytes", "gauge", "Memory that connections hold, where there is a budget.", s.Budget)
	loop := func(name, kind, help string, value func(loopStats) any) {
		fmt.Fprintf(w, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind)
		for i, l := range s.Loops {
			fmt.Fprintf(w, "%s{loop=\"%d\"} %v\n", name, i, value(l))
		}
	}
	loop("eddy_loop_busy_seconds_total", "counter", "Time that the loop has worked.", func(l loopStats) any { return l.Busy })
	loop("eddy_loop_turns_total", "counter", "Turns of the loop.", func(l loopStats) any { return l.Turns })
	loop("eddy_loop_events_total", "counter", "Descriptors that were reported ready.", func(l loopStats) any { return l.Events })
	loop("eddy_loop_failures_total", "counter", "Panics and Goexits that were contained.", func(l loopStats) any { return l.Failures })
	loop("eddy_loop_longest_turn_seconds", "gauge", "The longest turn since the start.", func(l loopStats) any { return l.Longest })
	loop("eddy_loop_queue_length", "gauge", "Work that waits for the next turn.", func(l loopStats) any { return l.Queue })
	loop("eddy_loop_descriptors", "gauge", "Descriptors that the loop watches.", func(l loopStats) any { return l.Handlers })
}
