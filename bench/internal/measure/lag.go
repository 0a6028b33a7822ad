package measure

import (
	"path/filepath"
	"time"

	"github.com/eddyloop/eddy/bench/internal/field"
	"github.com/eddyloop/eddy/bench/internal/lag"
)

// Lag is how late a timer was beside a load.
type Lag struct {
	lag.Result
	Foreign float64 `json:"foreign"` // CPUs busy with anything else
}

// LagServers have a timer and a load, in the order of tables.
var LagServers = []string{"eddy", "net"}

// MeasureLag runs the program of a server with a load for some seconds, from
// before its clients come. It has both processors, as it would have outside of a
// comparison: a timer that waits for Go's scheduler to take the only processor
// from a goroutine tells nothing of the loop.
func MeasureLag(server string, load lag.Load, seconds float64, quiet time.Duration) (*Lag, error) {
	awaitQuiet(quiet)
	p, err := field.StartOn(field.ServerCore+","+field.LoadCore, 2, []string{filepath.Join("bin", "lag", server)}, "-load", load.Name)
	if err != nil {
		return nil, err
	}
	defer p.Stop()
	if _, err := p.Lag(); err != nil { // what was before does not count
		return nil, err
	}
	began, busy, own := time.Now(), busyTicks(), p.CPU()
	clients := new(field.Process)
	if load.Clients {
		clients, err = field.StartOn(field.LoadCore, 1, []string{filepath.Join("bin", "lag", "clients")}, "-load", load.Name, "-to", p.Addr)
		if err != nil {
			return nil, err
		}
		defer clients.Stop()
	}
	time.Sleep(time.Duration(seconds * float64(time.Second)))
	used := float64(busyTicks()-busy)/100 - (p.CPU() - own)
	if load.Clients {
		used -= clients.CPU()
	}
	l := &Lag{Foreign: used / time.Since(began).Seconds()}
	l.Result, err = p.Lag()
	return l, err
}
