// Command hostile connects to an echo server, such as echod -mode line, as many clients
// that mean no good, of all kinds of internal/hostile in turn, and tells what that costs:
// how long honest clients wait, before and meanwhile, and the memory and descriptors of the
// server's process.
//
//	hostile -addr 127.0.0.1:8000 -pid PID -n 10000
package main

import (
	"bufio"
	"flag"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/eddyloop/eddy/internal/hostile"
)

var (
	addr   = flag.String("addr", "127.0.0.1:8000", "the server's `address`")
	pid    = flag.Int("pid", 0, "the server's `process`")
	n      = flag.Int("n", 10_000, "hostile connections at a time")
	honest = flag.Int("honest", 20, "honest clients")
	forNow = flag.Duration("for", 20*time.Second, "how long, once all are there")
	dials  = flag.Duration("again", 10*time.Second, "pause before one that has left connects again")
	only   = flag.String("only", "", "one `kind`, by its name")
)

func main() {
	flag.Parse()
	fmt.Printf("%-34s %s\n", "before:", server())
	fmt.Printf("%-34s %s\n", "honest, nobody else there:", talk(5*time.Second))
	kinds := slices.DeleteFunc(slices.Clone(hostile.Kinds), func(k hostile.Kind) bool { return *only != "" && k.Name != *only })
	var there, failed atomic.Int64
	gate := make(chan struct{}, 64)
	began := time.Now()
	for i := range *n {
		k := kinds[i%len(kinds)]
		gate <- struct{}{}
		go attack(k, gate, &there, &failed)
	}
	for there.Load()+failed.Load() < int64(*n) && time.Since(began) < time.Minute {
		time.Sleep(10 * time.Millisecond)
	}
	fmt.Printf("%d hostile connections made in %v, %d failed\n", there.Load(), time.Since(began).Round(time.Millisecond), failed.Load())
	fmt.Printf("%-34s %s\n", "with all of them:", server())
	fmt.Printf("%-34s %s\n", "honest, meanwhile:", talk(*forNow))
	fmt.Printf("%-34s %s\n", "afterwards:", server())
}

// attack is one hostile client, for ever.
func attack(k hostile.Kind, gate chan struct{}, there, failed *atomic.Int64) {
	counted := false
	for {
		c, err := net.DialTimeout("tcp", *addr, 30*time.Second)
		if !counted {
			<-gate
			counted = true
			if err != nil {
				failed.Add(1)
			} else {
				there.Add(1)
			}
		}
		if err == nil {
			k.Act(c.(*net.TCPConn))
			if !k.Again { // until the server ends it
				buf := make([]byte, 1)
				if k.Name == "never reads" {
					time.Sleep(time.Hour)
				}
				for k.Name != "pipelines without end" {
					if _, err := c.Read(buf); err != nil {
						break
					}
				}
				if k.Name == "pipelines without end" {
					time.Sleep(time.Hour)
				}
			}
			_ = c.Close()
		}
		time.Sleep(*dials)
	}
}

// talk has honest clients talk for so long, half of them over new connections each time, and
// tells how long they waited.
func talk(d time.Duration) string {
	var mu sync.Mutex
	var waits, dialed []time.Duration
	var failures atomic.Int64
	var wg sync.WaitGroup
	end := time.Now().Add(d)
	for range *honest {
		wg.Go(func() {
			for time.Now().Before(end) {
				began := time.Now()
				c, err := net.DialTimeout("tcp", *addr, 30*time.Second)
				if err != nil {
					failures.Add(1)
					continue
				}
				_ = c.SetDeadline(time.Now().Add(30 * time.Second))
				answers := bufio.NewReader(c)
				for i := range 50 {
					asked := time.Now()
					fmt.Fprintf(c, "hello %d\n", i)
					if line, err := answers.ReadString('\n'); err != nil || !strings.HasPrefix(line, "hello") {
						failures.Add(1)
						break
					}
					mu.Lock()
					if i == 0 {
						dialed = append(dialed, time.Since(began))
					} else {
						waits = append(waits, time.Since(asked))
					}
					mu.Unlock()
					time.Sleep(5 * time.Millisecond)
				}
				_ = c.Close()
			}
		})
	}
	wg.Wait()
	return fmt.Sprintf("%d messages, p50 %v, p99 %v, max %v; connecting and first answer p50 %v, p99 %v; %d failed",
		len(waits), at(waits, 0.5), at(waits, 0.99), at(waits, 1), at(dialed, 0.5), at(dialed, 0.99), failures.Load())
}

func at(all []time.Duration, q float64) time.Duration {
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return all[min(len(all)-1, int(q*float64(len(all))))].Round(10 * time.Microsecond)
}

// server tells what the server's process holds, as far as the system tells (Linux).
func server() string {
	if *pid == 0 {
		return ""
	}
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", *pid))
	files, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", *pid))
	var memory []string
	for line := range strings.Lines(string(status)) {
		if strings.HasPrefix(line, "VmRSS") || strings.HasPrefix(line, "VmHWM") || strings.HasPrefix(line, "Threads") {
			memory = append(memory, strings.Join(strings.Fields(line), " "))
		}
	}
	return fmt.Sprintf("%s, %d descriptors", strings.Join(memory, ", "), len(files))
}
