// Command eddy has a timer of 1 ms on a loop, and beside it a load.
package main

import (
	"context"
	"log/slog"
	"net"
	"time"

	"github.com/eddyloop/eddy/bench/internal/lag"
	"github.com/eddyloop/eddy/bench/internal/peer"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/tcp"
)

// program is the loop and what is counted on it.
type program struct {
	*lag.Recorder
	loop *ioloop.Loop
}

func main() {
	peer.Parse("raw")
	group, err := ioloop.NewGroup(1, ioloop.Config{})
	peer.Check(err)
	go func() { peer.Check(group.Run(context.Background())) }()
	p := &program{loop: group.Next()}
	p.Recorder = lag.Begin(func(d time.Duration, fired func()) { p.loop.AfterFunc(d, fired) })
	srv := &tcp.Server{Group: group, Logger: slog.New(slog.DiscardHandler)}
	p.serve(srv)
	var addr net.Addr = &net.TCPAddr{}
	if srv.Callback != nil || srv.Handler != nil {
		addr, err = srv.Listen("tcp", *peer.Listen)
		peer.Check(err)
		go func() { peer.Check(srv.Serve(context.Background())) }()
	}
	p.Serve(addr, func() time.Duration { return p.loop.Stats().LongestTurn })
}

// serve begins the load, or has srv do so for each client.
func (p *program) serve(srv *tcp.Server) {
	switch *lag.Flag {
	case "producer":
		srv.Handler = p.produce
	case "pipeline":
		srv.Callback = p.answerLines
	case "broadcast":
		streams := make(chan *iostream.Stream, lag.Listeners)
		srv.Callback = func(s *iostream.Stream) { streams <- s }
		go p.broadcast(streams)
	case "slow":
		srv.Callback = p.answerLarge
	case "timers":
		p.startTimers()
	case "post":
		p.post()
	}
}

func (p *program) produce(t *ioloop.Task, s *iostream.Stream) error {
	for message := make([]byte, 64); ; p.Work.Add(1) {
		if _, err := s.Write(message); err != nil {
			return err
		}
		if err := s.Room(t); err != nil {
			return err
		}
	}
}

func (p *program) answerLines(s *iostream.Stream) {
	_ = s.Handle(iostream.Until("\n"), func(line []byte, err error) bool {
		if err == nil {
			lag.Spin(lag.LineWork)
			p.Work.Add(1)
			_, err = s.Write(line)
		}
		return err == nil
	})
}

// broadcast begins when all are there.
func (p *program) broadcast(streams <-chan *iostream.Stream) {
	var all []*iostream.Stream
	for len(all) < lag.Listeners {
		all = append(all, <-streams)
	}
	for {
		for _, s := range all {
			_, err := s.Write([]byte("hello"))
			peer.Check(err)
			peer.Check(s.Room(context.Background()))
			p.Work.Add(1)
		}
	}
}

func (p *program) answerLarge(s *iostream.Stream) {
	answer := large
	_ = s.Handle(iostream.Until("\n"), func(_ []byte, err error) bool {
		if err == nil {
			p.Work.Add(1)
			_, err = s.Write(answer)
		}
		return err == nil
	})
}

var large = make([]byte, lag.Answer)

// startTimers starts timers that are due at once; the last starts the next.
func (p *program) startTimers() {
	fired := 0
	when := 50 * time.Millisecond
	fn := func() {
		p.Work.Add(1)
		if fired++; fired == lag.Timers {
			fired = 0
			go p.startTimers()
		}
	}
	began := time.Now()
	for range lag.Timers {
		p.loop.AfterFunc(max(when-time.Since(began), 0), fn)
	}
}

func (p *program) post() {
	p.Work.Add(1)
	_ = p.loop.Post(p.post)
}
