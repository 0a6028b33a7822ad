package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/eddyloop/eddy/bench/internal/behave"
	"github.com/eddyloop/eddy/bench/internal/field"
	"github.com/eddyloop/eddy/bench/internal/lag"
	"github.com/eddyloop/eddy/bench/internal/measure"
	"github.com/eddyloop/eddy/bench/internal/workload"
	"github.com/schollz/progressbar/v3"
)

// plan is what a run has to do.
type plan struct {
	parts     []string
	servers   []field.Server
	workloads []workload.Workload
	rounds    int
	set       measure.Settings
	log       *measure.Log
	tls       bool            // whether the load can do it
	skips     map[string]bool // server and workload that need not be tried again
	bar       *progressbar.ProgressBar
}

func (p *plan) run(ctx context.Context) error {
	if err := p.build(); err != nil {
		return err
	}
	if err := p.log.Add(measure.Record{Kind: measure.Run, Text: commandLine(), Facts: facts()}); err != nil {
		return err
	}
	steps := p.steps(ctx)
	p.bar = progressbar.NewOptions(len(steps), progressbar.OptionSetWriter(os.Stderr), progressbar.OptionShowCount(),
		progressbar.OptionSetPredictTime(true), progressbar.OptionSetWidth(20), progressbar.OptionThrottle(200*time.Millisecond), progressbar.OptionUseANSICodes(true))
	for _, s := range steps {
		if ctx.Err() != nil {
			break
		}
		p.bar.Describe(fmt.Sprintf("%-42s", s.name))
		if err := s.do(); err != nil {
			return err
		}
		_ = p.bar.Add(1)
	}
	fmt.Fprintln(os.Stderr)
	return nil
}

func (p *plan) build() error {
	var err error
	if p.tls, err = field.BuildLoad(); err != nil {
		return fmt.Errorf("the load generator cannot be built: %w", err)
	}
	if err := field.BuildGo(); err != nil {
		return err
	}
	var ready []field.Server
	for _, s := range p.servers {
		if err := s.Build(); err != nil {
			if err := p.log.Add(measure.Record{Kind: measure.Skip, Server: s.Name, Text: err.Error()}); err != nil {
				return err
			}
			continue
		}
		ready = append(ready, s)
	}
	p.servers = ready
	return nil
}

// step is what is done between two moves of the progress bar.
type step struct {
	name string
	do   func() error
}

func (p *plan) steps(ctx context.Context) []step {
	var steps []step
	add := func(name string, do func() error) { steps = append(steps, step{name, do}) }
	servers := slices.DeleteFunc(field.Of(p.servers, workload.Echo), func(s field.Server) bool { return s.Again })
	if slices.Contains(p.parts, "memory") {
		for _, s := range servers {
			add("memory "+s.Name, func() error { return p.memory(s) })
		}
		for _, h := range measure.Holdings {
			for _, s := range field.Of(p.servers, h.Role) {
				add(h.Name+" "+s.Name, func() error { return p.held(s, h) })
			}
		}
	}
	if slices.Contains(p.parts, "syscalls") {
		for _, w := range measure.Traced {
			for _, s := range servers {
				add(w.Name+" "+s.Name, func() error { return p.syscalls(s, w) })
			}
		}
	}
	if slices.Contains(p.parts, "behaviour") {
		for _, probe := range behave.Probes {
			subjects := behave.Programs(servers)
			if probe.Echo {
				subjects = behave.Echoes(servers)
			}
			for _, s := range subjects {
				add(probe.Name+" "+s.Name, func() error { return p.behaviour(probe, s) })
			}
		}
	}
	if slices.Contains(p.parts, "lag") {
		for round := range min(p.rounds, lagRounds) {
			for _, load := range lag.Loads {
				for _, server := range measure.LagServers {
					add("timer beside "+load.Name+", "+server, func() error { return p.lag(server, load, round+1) })
				}
			}
		}
	}
	if !slices.Contains(p.parts, "speed") {
		return steps
	}
	for round := range p.rounds {
		for _, w := range p.workloads {
			add(fmt.Sprintf("round %d of %d, %s", round+1, p.rounds, w.Name), func() error { return p.speed(ctx, w, round+1) })
		}
	}
	return steps
}

// failed keeps why something could not be measured. What a server has no means
// for is not tried again.
func (p *plan) failed(server, what string, err error) error {
	var skip field.SkipError
	key := server + " " + what
	text := err.Error()
	if errors.As(err, &skip) {
		p.skips[key] = true
	} else {
		text = "failed: " + text
	}
	return p.log.Add(measure.Record{Kind: measure.Skip, Server: server, Workload: what, Text: text})
}

// speed is a round of all servers on w that have means for it.
func (p *plan) speed(ctx context.Context, w workload.Workload, round int) error {
	var servers []field.Server
	for _, s := range field.Of(p.servers, w.Role) {
		if !p.skips[s.Name+" "+w.Name] && (!s.Seldom || seldom(round, p.rounds)) {
			servers = append(servers, s)
		}
	}
	if w.TLS && !w.Asks && !p.tls {
		return p.failed("load", w.Name, field.SkipError("the load was built without OpenSSL (Debian: libssl-dev)"))
	}
	for _, r := range p.set.Round(ctx, servers, w, round) {
		err := r.Err
		if err == nil {
			err = p.log.Add(measure.Record{Kind: measure.Speed, Server: r.Server.Name, Workload: w.Name, Round: round, Cell: r.Cell})
		} else {
			err = p.failed(r.Server.Name, w.Name, err)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// seldom picks 5 of the rounds, or all if they are fewer, evenly spread.
func seldom(round, rounds int) bool { return rounds <= 5 || round*5/rounds != (round-1)*5/rounds }

// The lag part: rounds, and seconds of each.
const (
	lagRounds  = 6
	lagSeconds = 2
)

func (p *plan) lag(server string, load lag.Load, round int) error {
	l, err := measure.MeasureLag(server, load, lagSeconds, p.set.Quiet)
	if err != nil {
		return p.failed(server, "timer beside "+load.Name, err)
	}
	return p.log.Add(measure.Record{Kind: measure.Late, Server: server, Workload: load.Name, Round: round, Lag: l})
}

func (p *plan) memory(s field.Server) error {
	m, err := measure.MeasureIdle(s, *idle)
	if err != nil {
		return p.failed(s.Name, measure.Memory, err)
	}
	return p.log.Add(measure.Record{Kind: measure.Memory, Server: s.Name, Idle: m})
}

func (p *plan) held(s field.Server, h measure.Holding) error {
	m, err := h.Measure(s)
	if err != nil {
		return p.failed(s.Name, h.Name, err)
	}
	return p.log.Add(measure.Record{Kind: measure.Memory, Server: s.Name, Workload: h.Name, Idle: m})
}

func (p *plan) syscalls(s field.Server, w workload.Workload) error {
	calls, err := measure.Calls(s, w, max(0.3, min(p.set.Slice, 1)))
	if err != nil {
		return p.failed(s.Name, w.Name, err)
	}
	return p.log.Add(measure.Record{Kind: measure.Syscalls, Server: s.Name, Workload: w.Name, Calls: calls})
}

func (p *plan) behaviour(probe behave.Probe, s behave.Subject) error {
	began := time.Now()
	outcome, err := probe.Run(s)
	var skip field.SkipError
	switch {
	case errors.As(err, &skip):
		outcome = "– (" + skip.Error() + ")"
	case err != nil:
		outcome = "could not be tried: " + err.Error()
	}
	_ = p.bar.Clear()
	fmt.Fprintf(os.Stderr, "%-12s %-9s %s (%.1f s)\n", probe.Name, s.Name, outcome, time.Since(began).Seconds())
	return p.log.Add(measure.Record{Kind: measure.Behaviour, Server: s.Name, Workload: probe.Name, Text: outcome})
}
