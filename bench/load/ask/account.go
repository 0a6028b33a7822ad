package main

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// account is what account.h counts, in seconds.
type account struct {
	wall           time.Time
	server, client float64
	busy, steal    float64 // of all CPUs, in ticks of 10 ms
}

// serverCPU returns what all threads of the server have used, from the
// scheduler's counters.
func serverCPU() (seconds float64) {
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", *pid))
	for _, name := range threads {
		data, _ := os.ReadFile(name)
		var ns int64
		_, _ = fmt.Sscan(string(data), &ns)
		seconds += float64(ns) / 1e9
	}
	return seconds
}

func accountNow() account {
	a := account{wall: time.Now(), server: serverCPU()}
	data, _ := os.ReadFile("/proc/stat")
	var user, nice, system, idle, wait, irq, softirq, steal float64
	_, _ = fmt.Sscanf(string(data), "cpu %f %f %f %f %f %f %f %f", &user, &nice, &system, &idle, &wait, &irq, &softirq, &steal)
	a.busy, a.steal = (user+nice+system+irq+softirq)/100, steal/100
	var own syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &own)
	a.client = time.Duration(own.Utime.Nano() + own.Stime.Nano()).Seconds()
	return a
}

// settle waits until the server's CPU time stands still for longer than a tick
// of the scheduler's.
func settle() {
	for before, tries := -1.0, 40; tries > 0; tries-- {
		now := serverCPU()
		if now == before {
			return
		}
		before = now
		time.Sleep(5 * time.Millisecond)
	}
}
