package render

import (
	"strings"
	"testing"

	"github.com/eddyloop/eddy/bench/internal/measure"
)

// cells are rounds in which the servers cost as much as told, give or take a
// percent that differs from round to round and from server to server.
func cells(rounds int, foreign float64, costs map[string]float64) (records []measure.Record) {
	for round := range rounds {
		records = append(records, measure.Record{Kind: measure.Run})
		for server, cost := range costs {
			wobble := float64((round*7+len(server)*5)%11-5) / 500
			records = append(records, measure.Record{Kind: measure.Speed, Server: server, Workload: "line-deep16", Round: round + 1,
				Cell: &measure.Cell{CPU: cost * (1 + wobble), Rate: 1e6 / cost, Foreign: foreign}})
		}
	}
	return records
}

func report(records []measure.Record) string {
	r := &writer{data: sortOut(records)}
	r.targets()
	return r.String()
}

func TestTargets(t *testing.T) {
	costs := map[string]float64{"cepoll": 10, "cepoll-again": 10, "eddy-callback": 10.6, "eddy-message": 12, "eddy-task": 12,
		"gnet": 12, "netpoll": 10.6, "evio": 9}
	got := report(cells(16, 0, costs))
	for _, want := range []string{
		"CPU at most 1.10 of C (aim 1.05) | 1 of 1 workloads, with the whole interval on 1; the aim on 0 | met",
		"CPU at most 1.15 of C (aim 1.10) | 0 of 1 workloads, with the whole interval on 0; the aim on 0; beyond: line-deep16 1.2",
		"message: CPU at most 1.05 of callback | 0 of 1 workloads; beyond: line-deep16 1.1",
		"surely ahead in 1 of 3 pairs of peer and workload; behind in 1: evio on line-deep16",
		"neither ahead nor behind in 1: netpoll on line-deep16",
		"of C's throughput | 0.94 [0.94, 0.94] | met",
		"on 1 of 1 workloads the interval contains 1.00",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in %s", want, got)
		}
	}
	if got := report(cells(3, 0, costs)); !strings.Contains(got, "too few rounds to tell in 3") {
		t.Error(got)
	}
	if got := report(cells(16, 0.5, costs)); !strings.Contains(got, "†") {
		t.Error("busy rounds are not marked:", got)
	}
}

// beside is 16 rounds of two servers on a workload.
func beside(workload, own, net string, ratio float64) (records []measure.Record) {
	for round := range 16 {
		wobble := 1 + float64(round%5-2)/500
		for server, cost := range map[string]float64{own: 10 * ratio * wobble, net: 10} {
			records = append(records, measure.Record{Kind: measure.Speed, Server: server, Workload: workload, Round: round + 1,
				Cell: &measure.Cell{CPU: cost, Rate: 1e6 / cost}})
		}
	}
	return records
}

func TestBesideTargets(t *testing.T) {
	for want, records := range map[string][]measure.Record{
		"http-up: CPU at most 1.05 of net-http | 1.04 [1.04, 1.04] | met":            beside("http-up", "eddy-http", "net-http", 1.04),
		"http-small: CPU at most 1.00 of net-http | 1.04 [1.04, 1.04] | **short**":   beside("http-small", "eddy-http", "net-http", 1.04),
		"conn-ping: CPU at most 1.00 of net-conn | 1.00 [1.00, 1.00] | equal within": beside("conn-ping", "eddy-conn", "net-conn", 1.0001),
		"relay-1k: CPU at most 0.70 of net-relay | 0.69 [0.69, 0.69] | met":          beside("relay-1k", "eddy-relay", "net-relay", 0.69),
		"relay-bulk: CPU at most 1.20 of haproxy | 1.30 [1.29, 1.30] | **short**":    beside("relay-bulk", "eddy-relay", "haproxy", 1.3),
	} {
		if got := report(records); !strings.Contains(got, want) {
			t.Errorf("no %q in %s", want, got)
		}
	}
}

func TestLagTargets(t *testing.T) {
	var records []measure.Record
	for _, server := range measure.LagServers {
		for round := range 6 {
			l := &measure.Lag{Foreign: float64(round % 2)} // half of the rounds are busy
			l.P99 = 4_000 + 3_000*l.Foreign
			records = append(records, measure.Record{Kind: measure.Late, Server: server, Workload: "producer", Round: round + 1, Lag: l})
		}
	}
	if got, want := report(records), "beside producer: p99 at most 5 ms late | 5.50 (4.00..7.00) † ms; on net 5.50"; !strings.Contains(got, want) {
		t.Errorf("no %q in %s", want, got)
	}
	for i := range records {
		records[i].Lag.Foreign = float64(i % 6 / 4) // a third
	}
	if got, want := report(records), "producer: p99 at most 5 ms late | 5.50 (4.00..7.00) ms;"; !strings.Contains(got, want) {
		t.Errorf("no %q in %s", want, got)
	}
}

func TestHeldTargets(t *testing.T) {
	records := []measure.Record{
		{Kind: measure.Memory, Server: "eddy-http", Workload: "http-slow", Idle: &measure.Idle{Heap: 1_100, Stack: 1_000}},
		{Kind: measure.Memory, Server: "net-http", Workload: "http-slow", Idle: &measure.Idle{Heap: 1_000, Stack: 1_000}},
		{Kind: measure.Memory, Server: "eddy-http", Workload: "http-idle", Idle: &measure.Idle{Heap: 1_100, Stack: 1_000}},
		{Kind: measure.Memory, Server: "net-http", Workload: "http-idle", Idle: &measure.Idle{Heap: 1_000, Stack: 1_000}},
	}
	got := report(records)
	for _, want := range []string{"http-slow: heap and stack at most 1.05 of net-http | 1.05 | met",
		"http-idle: heap and stack at most 1.00 of net-http | 1.05 | **short**"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in %s", want, got)
		}
	}
}
