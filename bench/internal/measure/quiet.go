package measure

import (
	"fmt"
	"os"
	"time"
)

// awaitQuiet waits until little else runs, at most for the given time.
func awaitQuiet(limit time.Duration) {
	const look = 200 * time.Millisecond
	for end := time.Now().Add(limit); time.Now().Before(end); {
		before := busyTicks()
		time.Sleep(look)
		if float64(busyTicks()-before)/100 <= 0.15*look.Seconds() {
			return
		}
	}
}

// busyTicks returns the time that all CPUs have worked, in hundredths of a
// second.
func busyTicks() (ticks int64) {
	data, err := os.ReadFile("/proc/stat")
	var user, nice, system, idle, wait, irq, softirq int64
	if err == nil {
		_, err = fmt.Sscanf(string(data), "cpu %d %d %d %d %d %d %d", &user, &nice, &system, &idle, &wait, &irq, &softirq)
	}
	if err != nil {
		return 0
	}
	return user + nice + system + irq + softirq
}
