// Command report measures Eddy beside its field and writes what it saw:
// RESULTS.md with tables and plots, and the raw data as JSON lines.
//
// It is run in the folder bench (go -C bench run ./cmd/report). An interrupt
// ends the measurements and still writes the report.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"time"

	"github.com/eddyloop/eddy/bench/internal/field"
	"github.com/eddyloop/eddy/bench/internal/measure"
	"github.com/eddyloop/eddy/bench/internal/render"
	"github.com/eddyloop/eddy/bench/internal/workload"
)

var (
	parts     = flag.String("parts", "speed,memory,syscalls,behaviour,lag", "what to measure")
	workloads = flag.String("workloads", "all", "names")
	servers   = flag.String("servers", "all", "names")
	rounds    = flag.Int("rounds", 16, "rounds on each workload, each with fresh servers")
	passes    = flag.Int("passes", 2, "slices of each server in a round")
	slice     = flag.Float64("slice", 0.12, "seconds of a slice")
	warmup    = flag.Float64("warmup", 0.1, "seconds to run before the first slice of a round")
	quiet     = flag.Duration("quiet", 2*time.Second, "longest wait for a quiet machine before a round")
	idle      = flag.Int("idle", 10000, "connections of the memory part")
	quick     = flag.Bool("quick", false, "few servers, 2 short rounds, some three minutes")
	appended  = flag.Bool("append", false, "keep what the raw data holds, and report on both")
	only      = flag.Bool("render", false, "measure nothing, write the report on the raw data")
	out       = flag.String("out", ".", "folder for RESULTS.md and results/")
	list      = flag.Bool("list", false, "tell the names of servers and workloads")
)

// quickEchoes are the echo servers of -quick; of the others, all take part.
const quickEchoes = "cepoll,cepoll-again,eddy-callback,eddy-message,eddy-task,net-4k,gnet"

func main() {
	flag.Parse()
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "report:", err)
		os.Exit(1)
	}
}

func run() error {
	if *list {
		printNames()
		return nil
	}
	if _, err := os.Stat("server"); err != nil {
		return fmt.Errorf("to be run in the folder bench: %w", err)
	}
	results := filepath.Join(*out, "results")
	if err := os.MkdirAll(results, 0o777); err != nil {
		return err
	}
	raw := filepath.Join(results, "raw.jsonl")
	if *only {
		records, err := measure.Read(raw)
		if err != nil {
			return err
		}
		return render.Report(*out, records)
	}
	plan, err := newPlan()
	if err != nil {
		return err
	}
	if plan.log, err = measure.Open(raw, time.Now().UTC().Format(time.RFC3339), *appended); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := plan.run(ctx); err != nil {
		return err
	}
	if err := plan.log.Close(); err != nil {
		return err
	}
	return render.Report(*out, plan.log.Records)
}

func printNames() {
	fmt.Println("servers:")
	for _, s := range field.Servers {
		fmt.Printf("  %-16s %s\n", s.Name, s.What)
	}
	fmt.Println("workloads:")
	for _, w := range workload.All {
		fmt.Printf("  %-16s %s\n", w.Name, w.What)
	}
}

// newPlan reads the flags.
func newPlan() (*plan, error) {
	p := &plan{
		parts:  strings.Split(*parts, ","),
		rounds: *rounds,
		set:    measure.Settings{Passes: *passes, Slice: *slice, Lead: *slice / 6, Warmup: *warmup, Quiet: *quiet},
		skips:  map[string]bool{},
	}
	names := *servers
	if *quick {
		p.rounds, p.set = 2, measure.Settings{Passes: 2, Slice: 0.1, Lead: 0.01, Warmup: 0.1}
		if names == "all" {
			names = quickEchoes
			for _, s := range field.Servers {
				if s.Role != workload.Echo {
					names += "," + s.Name
				}
			}
		}
	}
	var err error
	if p.workloads, err = workload.Find(*workloads); err != nil {
		return nil, err
	}
	p.servers = field.Servers
	if names != "all" {
		p.servers, err = field.Find(strings.Split(names, ","))
	}
	return p, err
}
