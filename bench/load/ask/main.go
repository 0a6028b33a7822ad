// Command ask sends requests to a server and awaits the answers, from one
// goroutine for each connection, and prints what load.c does, in slices asked
// for as load.c's are with -i: read that for what a slice is.
//
// A connection has a batch of requests in flight and sends the next when all
// answers are there.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

var (
	addr     = flag.String("a", "", "address of the server")
	pid      = flag.Int("pid", 0, "its process")
	protocol = flag.String("p", "http1", "http1; http2; or sink: bytes that the server reads, and answers with one")
	conns    = flag.Int("c", 1, "connections")
	depth    = flag.Int("d", 1, "requests in flight on each, http2 only")
	up       = flag.Int("up", 0, "bytes of a request's body")
	down     = flag.Int("down", 12, "bytes of an answer's body")
	once     = flag.Bool("close", false, "a connection for each request, http1 only")
	secure   = flag.Bool("T", false, "TLS, whatever the certificate")
)

// talk is a connection.
type talk interface {
	// ask sends depth requests and awaits the answers.
	ask() error
}

var opens = map[string]func() (talk, error){"http1": openHTTP1, "http2": openHTTP2, "sink": openSink}

func main() {
	flag.Parse()
	l := &load{latencies: hdrhistogram.New(1, int64(20*time.Minute), 3)}
	for range *conns {
		t, err := opens[*protocol]()
		check(err)
		start := make(chan struct{})
		l.starts = append(l.starts, start)
		go l.talk(t, start)
	}
	fmt.Println("ready")
	var lead, seconds float64
	for {
		if n, _ := fmt.Scan(&lead, &seconds); n < 2 {
			return
		}
		check(json.NewEncoder(os.Stdout).Encode(l.slice(lead, seconds)))
	}
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "ask:", err)
		os.Exit(1)
	}
}

// load is all connections.
type load struct {
	starts   []chan struct{} // a goroutine for each
	draining atomic.Bool     // nothing new is sent
	busy     sync.WaitGroup

	mu        sync.Mutex
	messages  int64
	latencies *hdrhistogram.Histogram
}

func (l *load) talk(t talk, start <-chan struct{}) {
	for range start {
		for !l.draining.Load() {
			began := time.Now()
			check(t.ask())
			took := time.Since(began)
			l.mu.Lock()
			l.messages += int64(*depth)
			_ = l.latencies.RecordValues(int64(took), int64(*depth))
			l.mu.Unlock()
		}
		l.busy.Done()
	}
}

// run has all connections send for some time, and returns how long it was until
// the last answer was there.
func (l *load) run(seconds float64) float64 {
	began := time.Now()
	l.draining.Store(false)
	l.busy.Add(len(l.starts))
	for _, start := range l.starts {
		start <- struct{}{}
	}
	time.Sleep(time.Duration(seconds * float64(time.Second)))
	l.draining.Store(true)
	l.busy.Wait()
	return time.Since(began).Seconds()
}

// report is what measure reads.
type report struct {
	Messages  int64      `json:"messages"`
	Seconds   float64    `json:"seconds"`
	ServerCPU float64    `json:"server_cpu"`
	ClientCPU float64    `json:"client_cpu"`
	Foreign   float64    `json:"foreign"`
	Steal     float64    `json:"steal"`
	Latency   [][2]int64 `json:"latency"`
}

func (l *load) slice(lead, seconds float64) report {
	if lead > 0 {
		l.run(lead)
	}
	settle()
	l.messages = 0
	l.latencies.Reset()
	a := accountNow()
	took := l.run(seconds)
	settle()
	b := accountNow()
	r := report{Messages: l.messages, Seconds: took, ServerCPU: b.server - a.server, ClientCPU: b.client - a.client}
	wall := b.wall.Sub(a.wall).Seconds()
	r.Foreign = (b.busy - a.busy - r.ServerCPU - r.ClientCPU) / wall
	r.Steal = (b.steal - a.steal) / wall
	for _, bar := range l.latencies.Distribution() {
		if bar.Count > 0 {
			r.Latency = append(r.Latency, [2]int64{(bar.From + bar.To) / 2, bar.Count})
		}
	}
	return r
}
