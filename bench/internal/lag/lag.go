// Package lag is what the programs of the lag part share: how late a timer of
// 1 ms is beside a load.
package lag

import (
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/eddyloop/eddy/bench/internal/peer"
)

// Load is what the timer has beside it.
type Load struct {
	Name, What string
	Work       string        // what is counted
	Message    time.Duration // the work of one message, by which the timer may be later
	Clients    bool          // lag/clients has a part in it
}

// Loads are all, in the order of tables.
var Loads = []Load{
	{Name: "nothing", What: "nothing", Work: "-"},
	{Name: "producer", What: "a task (a goroutine on net) that writes 64 B again and again to a client that keeps up", Work: "messages", Clients: true},
	{Name: "pipeline", What: "2 clients that send lines without waiting; each is 10 µs of work, and answered", Work: "lines", Message: LineWork, Clients: true},
	{Name: "broadcast", What: "a goroutine that sends 5 B to 1,000 clients, again and again", Work: "deliveries", Clients: true},
	{Name: "slow", What: "600 slow readers of 1 MiB answers", Work: "answers", Clients: true},
	{Name: "timers", What: "200,000 timers that are due at once, again and again", Work: "timers"},
	{Name: "post", What: "a post that posts itself (on net, a goroutine that starts the next)", Work: "posts"},
}

// How much of what there is.
const (
	Period     = time.Millisecond // of the timer
	LineWork   = 10 * time.Microsecond
	Pipeliners = 2
	Listeners  = 1000
	Readers    = 600
	Answer     = 1 << 20
	Timers     = 200_000
)

// Flag names the load.
var Flag = flag.String("load", "nothing", "what the timer has beside it")

// Result is what a program tells of the time since the last one.
type Result struct {
	P50  float64 `json:"p50_us"`
	P99  float64 `json:"p99_us"`
	Max  float64 `json:"max_us"`
	Turn float64 `json:"turn_us,omitempty"` // the longest of the loop
	Due  int64   `json:"due"`               // times
	Work float64 `json:"work"`              // a second
}

// Recorder keeps how late the timer was and how much the load did.
type Recorder struct {
	Work atomic.Int64 // done by the load

	mu    sync.Mutex
	late  *hdrhistogram.Histogram
	due   time.Time // when the timer that waits is
	began time.Time
}

// Begin starts a Recorder with a timer: arm has fired called after so long.
func Begin(arm func(d time.Duration, fired func())) *Recorder {
	r := &Recorder{late: hdrhistogram.New(1, int64(time.Minute), 3), began: time.Now()}
	var fired func()
	again := func() {
		r.mu.Lock()
		r.due = time.Now().Add(Period)
		r.mu.Unlock()
		arm(Period, fired)
	}
	fired = func() {
		r.mu.Lock()
		_ = r.late.RecordCorrectedValue(max(1, int64(time.Since(r.due))), int64(Period))
		r.mu.Unlock()
		again()
	}
	again()
	return r
}

// Serve announces addr, and tells a Result at each SIGUSR2. A timer that has
// not fired yet is as late as it is by then. turn is the longest of the loop.
func (r *Recorder) Serve(addr net.Addr, turn func() time.Duration) {
	usr2 := make(chan os.Signal, 1)
	signal.Notify(usr2, syscall.SIGUSR2)
	peer.Listening(addr)
	for range usr2 {
		r.mu.Lock()
		if waits := time.Since(r.due); waits > 0 {
			_ = r.late.RecordCorrectedValue(int64(waits), int64(Period))
		}
		us := func(ns int64) float64 { return float64(ns) / 1e3 }
		result := Result{
			P50: us(r.late.ValueAtQuantile(50)), P99: us(r.late.ValueAtQuantile(99)), Max: us(r.late.Max()),
			Turn: us(int64(turn())), Due: r.late.TotalCount(), Work: float64(r.Work.Swap(0)) / time.Since(r.began).Seconds(),
		}
		r.late.Reset()
		r.began = time.Now()
		r.mu.Unlock()
		text, _ := json.Marshal(result)
		fmt.Println("lag", string(text))
	}
}

// Spin is work that takes so long.
func Spin(d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); {
	}
}
