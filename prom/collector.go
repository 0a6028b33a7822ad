// Package prom tells Prometheus what the loops, servers and streams of a program do.
//
//	registry.MustRegister(prom.NewCollector(prom.Sources{
//		Servers: map[string]*tcp.Server{"chat": srv},
//		Groups:  map[string]*ioloop.Group{"chat": group},
//	}))
//
// The numbers are read when Prometheus asks. Serving a connection costs nothing more for
// them. dashboard.json beside this file shows them in Grafana.
package prom

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/tcp"
	"github.com/prometheus/client_golang/prometheus"
)

// patience is how long a scrape waits for loops to list their streams.
const patience = 100 * time.Millisecond

// Sources are what a Collector tells of. The keys are the values of the labels "server",
// "group" and "budget". A Collector does not own its sources; those that have been closed
// go on to tell their last numbers.
type Sources struct {
	Servers map[string]*tcp.Server
	Groups  map[string]*ioloop.Group // a loop's label is its index in its group
	Budgets map[string]*iostream.Budget
}

// Collector is a prometheus.Collector. Its methods may be called from any goroutine that
// is not a loop's.
type Collector struct{ sources Sources }

var _ prometheus.Collector = (*Collector)(nil)

// NewCollector returns a Collector for these sources. It keeps a copy of the maps.
func NewCollector(s Sources) *Collector {
	return &Collector{Sources{maps.Clone(s.Servers), maps.Clone(s.Groups), maps.Clone(s.Budgets)}}
}

// metric is one number of a source of kind S.
type metric[S any] struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(S) float64
}

func gauge[S any](name, help string, labels []string, value func(S) float64) metric[S] {
	return metric[S]{prometheus.NewDesc("eddy_"+name, help, labels, nil), prometheus.GaugeValue, value}
}

func counter[S any](name, help string, labels []string, value func(S) float64) metric[S] {
	return metric[S]{prometheus.NewDesc("eddy_"+name+"_total", help, labels, nil), prometheus.CounterValue, value}
}

var (
	ofServer = []string{"server"}
	ofLoop   = []string{"group", "loop"}
	ofGroup  = []string{"group"}
	ofBudget = []string{"budget"}
)

var serverMetrics = []metric[tcp.Stats]{
	gauge("server_connections", "Connections that are open.", ofServer, func(s tcp.Stats) float64 { return float64(s.Conns) }),
	gauge("server_handlers", "Handlers that run, and messages whose functions have had to wait.", ofServer, func(s tcp.Stats) float64 { return float64(s.Handlers) }),
	gauge("server_handshakes", "Connections that have yet to agree on TLS or to send a PROXY header.", ofServer, func(s tcp.Stats) float64 { return float64(s.Handshakes) }),
	counter("server_accepted", "Connections that were accepted.", ofServer, func(s tcp.Stats) float64 { return float64(s.Accepted) }),
	counter("server_refused", "Connections that were closed unserved.", ofServer, func(s tcp.Stats) float64 { return float64(s.Refused) }),
	counter("server_accept_pauses", "Times that accepting was put off for want of descriptors or memory.", ofServer, func(s tcp.Stats) float64 { return float64(s.AcceptPauses) }),
	counter("server_handshake_errors", "Connections that did not agree on TLS.", ofServer, func(s tcp.Stats) float64 { return float64(s.HandshakeErrors) }),
}

var loopMetrics = []metric[ioloop.Stats]{
	counter("loop_turns", "Turns of the loop.", ofLoop, func(s ioloop.Stats) float64 { return float64(s.Turns) }),
	counter("loop_wakeups", "Waits in which the loop would have blocked.", ofLoop, func(s ioloop.Stats) float64 { return float64(s.Wakeups) }),
	counter("loop_events", "Descriptors that were reported ready.", ofLoop, func(s ioloop.Stats) float64 { return float64(s.Events) }),
	counter("loop_callbacks", "Handlers, posted functions, resumed tasks and timers that were run.", ofLoop, func(s ioloop.Stats) float64 { return float64(s.Callbacks) }),
	counter("loop_failures", "Panics and Goexits that were contained.", ofLoop, func(s ioloop.Stats) float64 { return float64(s.Failures) }),
	counter("loop_busy_seconds", "Time that the loop has worked.", ofLoop, func(s ioloop.Stats) float64 { return s.Busy.Seconds() }),
	gauge("loop_longest_turn_seconds", "The longest turn since the start.", ofLoop, func(s ioloop.Stats) float64 { return s.LongestTurn.Seconds() }),
	gauge("loop_queue_length", "Work that waits for the next turn.", ofLoop, func(s ioloop.Stats) float64 { return float64(s.Queue) }),
	gauge("loop_descriptors", "Descriptors that the loop watches.", ofLoop, func(s ioloop.Stats) float64 { return float64(s.Handlers) }),
	gauge("loop_tasks", "Tasks that have begun and not ended.", ofLoop, func(s ioloop.Stats) float64 { return float64(s.Tasks) }),
	gauge("loop_timers", "Timers that wait.", ofLoop, func(s ioloop.Stats) float64 { return float64(s.Timers) }),
}

var streamMetrics = []metric[iostream.Totals]{
	gauge("streams", "Streams that are open.", ofGroup, func(t iostream.Totals) float64 { return float64(t.Streams) }),
	gauge("streams_backlog_bytes", "Bytes that were written and that the kernel has yet to take.", ofGroup, func(t iostream.Totals) float64 { return float64(t.Backlog) }),
	gauge("streams_buffered_bytes", "Bytes that were received and not read.", ofGroup, func(t iostream.Totals) float64 { return float64(t.Buffered) }),
}

var budgetMetrics = []metric[*iostream.Budget]{
	gauge("budget_used_bytes", "Memory that the streams of a budget hold.", ofBudget, func(b *iostream.Budget) float64 { return float64(b.Used()) }),
}

// Describe is for prometheus.Registry.
func (c *Collector) Describe(ch chan<- *prometheus.Desc) {
	describe(ch, serverMetrics)
	describe(ch, loopMetrics)
	describe(ch, streamMetrics)
	describe(ch, budgetMetrics)
}

func describe[S any](ch chan<- *prometheus.Desc, metrics []metric[S]) {
	for _, m := range metrics {
		ch <- m.desc
	}
}

// Collect is for prometheus.Registry. A group whose loops do not answer within a tenth
// of a second has no stream metrics this time.
func (c *Collector) Collect(ch chan<- prometheus.Metric) {
	for _, name := range names(c.sources.Servers) {
		tell(ch, serverMetrics, c.sources.Servers[name].Stats(), name)
	}
	for _, name := range names(c.sources.Groups) {
		loops := c.sources.Groups[name].Loops()
		for i, l := range loops {
			tell(ch, loopMetrics, l.Stats(), name, strconv.Itoa(i))
		}
		if totals, err := total(loops); err == nil {
			tell(ch, streamMetrics, totals, name)
		}
	}
	for _, name := range names(c.sources.Budgets) {
		tell(ch, budgetMetrics, c.sources.Budgets[name], name)
	}
}

func tell[S any](ch chan<- prometheus.Metric, metrics []metric[S], source S, labels ...string) {
	for _, m := range metrics {
		ch <- prometheus.MustNewConstMetric(m.desc, m.kind, m.value(source), labels...)
	}
}

func total(loops []*ioloop.Loop) (iostream.Totals, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return iostream.Total(ctx, loops...)
}

func names[S any](sources map[string]S) []string { return slices.Sorted(maps.Keys(sources)) }
