// Package measure runs servers under load and keeps what it saw.
package measure

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"os"
)

// The kinds of records.
const (
	Run       = "run"       // how and where: the first of each run
	Skip      = "skip"      // what could not be run, and why
	Speed     = "speed"     // one round of a workload on a server
	Memory    = "memory"    // what idle connections hold
	Syscalls  = "syscalls"  // system calls for each message
	Behaviour = "behaviour" // what a peer did in trouble
	Late      = "lag"       // how late a timer was beside a load
)

// Record is one line of the raw data. Which fields are set depends on Kind.
type Record struct {
	Kind     string `json:"kind"`
	Run      string `json:"run"` // when it began
	Server   string `json:"server,omitempty"`
	Workload string `json:"workload,omitempty"`
	Round    int    `json:"round,omitempty"`
	Text     string `json:"text,omitempty"` // of skip, behaviour, run

	*Cell
	*Idle
	Lag   *Lag               `json:"lag,omitempty"`
	Calls map[string]float64 `json:"calls,omitempty"` // for each message
	Facts map[string]string  `json:"facts,omitempty"` // of the run: machine, versions
}

// Cell is one round of a workload on a server.
type Cell struct {
	Rate       float64      `json:"rate"`        // messages a second
	CPU        float64      `json:"cpu_us"`      // of the server, for each message
	ServerUtil float64      `json:"server_util"` // CPUs in use
	ClientUtil float64      `json:"client_util"`
	Foreign    float64      `json:"foreign"` // CPUs busy with anything else
	Steal      float64      `json:"steal"`
	Latency    [][2]float64 `json:"latency"` // quantile, us
	Slices     []Slice      `json:"slices"`  // of which it is the sum
}

// Slice is the measured part of a server's turn.
type Slice struct {
	Messages  int64   `json:"n"`
	Seconds   float64 `json:"s"`
	ServerCPU float64 `json:"server_s"`
	ClientCPU float64 `json:"client_s"`
	Foreign   float64 `json:"foreign"`
	Steal     float64 `json:"steal"`
}

// Idle is what a quiet connection costs, in bytes.
type Idle struct {
	Conns  int     `json:"conns"`
	RSS    float64 `json:"rss"`
	Heap   float64 `json:"heap,omitempty"` // Go only
	Stack  float64 `json:"stack,omitempty"`
	Kernel float64 `json:"kernel"` // of both ends
}

// Log appends records to a file as JSON lines.
type Log struct {
	f       *os.File
	run     string
	Records []Record // all of the file
}

// Open opens the file for the records of a run; unless it is to be appended
// to, what it held is dropped.
func Open(name, run string, appended bool) (*Log, error) {
	flags := os.O_RDWR | os.O_CREATE | os.O_APPEND
	if !appended {
		flags |= os.O_TRUNC
	}
	f, err := os.OpenFile(name, flags, 0o666)
	if err != nil {
		return nil, err
	}
	records, err := read(f)
	return &Log{f: f, run: run, Records: records}, err
}

// Add keeps r.
func (l *Log) Add(r Record) error {
	r.Run = l.run
	l.Records = append(l.Records, r)
	return json.NewEncoder(l.f).Encode(r)
}

// Close closes the file.
func (l *Log) Close() error { return l.f.Close() }

// Read returns the records of a file.
func Read(name string) ([]Record, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return read(f)
}

func read(f io.Reader) ([]Record, error) {
	var records []Record
	for d := json.NewDecoder(bufio.NewReader(f)); ; {
		var r Record
		if err := d.Decode(&r); err != nil {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return records, err
		}
		records = append(records, r)
	}
}
