// Command protocol is a server of a protocol of one's own, a vote: a request is a name behind
// its length, one byte; the answer is how many votes the name has now, four bytes. It is here
// for its test, which plays every way in which a connection can behave, in one order and with
// a clock of its own: without sockets, without sleeping, in a fraction of a second.
//
//	go run ./protocol
//	printf '\3ann\3bob\3ann' | nc -N 127.0.0.1 8000 | xxd
package main

import (
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"log"
	"os"
	"os/signal"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/tcp"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:8000", "serve on this `address`")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	log.Print(new(poll).server().ListenAndServe(ctx, "tcp", *listen))
}

const (
	maxName     = 100
	pause       = 100 * time.Millisecond // before a vote is counted: one client's votes are no flood
	idleTimeout = 5 * time.Minute
)

var errName = errors.New("a name is UTF-8 and not empty")

// poll is the votes for each name.
type poll struct {
	mu    sync.Mutex
	votes map[string]uint32
}

func (p *poll) server() *tcp.Server {
	return &tcp.Server{
		Frame:        iostream.LengthPrefix(1, nil).Limit(maxName),
		Message:      p.vote,
		IdleTimeout:  idleTimeout,
		DrainTimeout: 10 * time.Second,
	}
}

func (p *poll) vote(t *ioloop.Task, s *iostream.Stream, name []byte) error {
	if len(name) == 0 || !utf8.Valid(name) {
		return errName
	}
	if err := t.Sleep(pause); err != nil {
		return err
	}
	_, err := s.Write(binary.BigEndian.AppendUint32(nil, p.count(string(name))))
	return err
}

func (p *poll) count(name string) uint32 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.votes == nil {
		p.votes = make(map[string]uint32)
	}
	p.votes[name]++
	return p.votes[name]
}
