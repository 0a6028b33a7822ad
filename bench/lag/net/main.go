// Command net has a timer of 1 ms of package time, and beside it a load of
// goroutines on package net.
package main

import (
	"bufio"
	"net"
	"sync/atomic"
	"time"

	"github.com/eddyloop/eddy/bench/internal/lag"
	"github.com/eddyloop/eddy/bench/internal/peer"
)

var recorder *lag.Recorder

func main() {
	peer.Parse("raw")
	recorder = lag.Begin(func(d time.Duration, fired func()) { time.AfterFunc(d, fired) })
	var addr net.Addr = &net.TCPAddr{}
	switch *lag.Flag {
	case "producer":
		addr = serve(produce)
	case "pipeline":
		addr = serve(answerLines)
	case "broadcast":
		conns := make(chan net.Conn, lag.Listeners)
		addr = serve(func(c net.Conn) { conns <- c })
		go broadcast(conns)
	case "slow":
		addr = serve(answerLarge)
	case "timers":
		startTimers()
	case "post":
		go post()
	}
	recorder.Serve(addr, func() time.Duration { return 0 })
}

func serve(handle func(net.Conn)) net.Addr {
	l, err := net.Listen("tcp", *peer.Listen)
	peer.Check(err)
	go func() {
		for {
			c, err := l.Accept()
			peer.Check(err)
			go handle(c)
		}
	}()
	return l.Addr()
}

func produce(c net.Conn) {
	defer c.Close()
	for message := make([]byte, 64); ; recorder.Work.Add(1) {
		if _, err := c.Write(message); err != nil {
			return
		}
	}
}

// answerLines flushes when no further line is buffered.
func answerLines(c net.Conn) {
	defer c.Close()
	for r, w := bufio.NewReader(c), bufio.NewWriter(c); ; {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return
		}
		lag.Spin(lag.LineWork)
		recorder.Work.Add(1)
		if _, err := w.Write(line); err != nil {
			return
		}
		if r.Buffered() == 0 && w.Flush() != nil {
			return
		}
	}
}

// broadcast begins when all are there.
func broadcast(conns <-chan net.Conn) {
	var all []net.Conn
	for len(all) < lag.Listeners {
		all = append(all, <-conns)
	}
	for {
		for _, c := range all {
			_, err := c.Write([]byte("hello"))
			peer.Check(err)
			recorder.Work.Add(1)
		}
	}
}

func answerLarge(c net.Conn) {
	defer c.Close()
	for r := bufio.NewReader(c); ; {
		if _, err := r.ReadSlice('\n'); err != nil {
			return
		}
		recorder.Work.Add(1)
		if _, err := c.Write(large); err != nil {
			return
		}
	}
}

var large = make([]byte, lag.Answer)

// startTimers starts timers that are due at once; the last starts the next.
func startTimers() {
	var fired atomic.Int64
	when := 50 * time.Millisecond
	fn := func() {
		recorder.Work.Add(1)
		if fired.Add(1) == lag.Timers {
			startTimers()
		}
	}
	began := time.Now()
	for range lag.Timers {
		time.AfterFunc(max(when-time.Since(began), 0), fn)
	}
}

func post() {
	recorder.Work.Add(1)
	go post()
}
