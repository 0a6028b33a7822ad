// Command resp answers a subset of Redis's commands: PING ECHO GET SET DEL EXISTS INCR
// EXPIRE TTL. A message is a whole command, which a bufio.SplitFunc finds. All of it runs on
// one loop, as in Redis itself: what runs there runs alone, so the store needs no lock, and
// time-outs are timers of that loop.
//
//	go run ./resp
//	redis-cli -p 6380 set greeting hello ex 10
//	redis-benchmark -p 6380 -t set,get,incr -P 16 -q
package main

import (
	"context"
	"flag"
	"log"
	"os"
	"os/signal"
	"time"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/tcp"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:6380", "serve on this `address`")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	log.Print(newServer().ListenAndServe(ctx, "tcp", *listen))
}

func newServer() *tcp.Server {
	db := make(store)
	return &tcp.Server{
		Loops:        1,
		DrainTimeout: 10 * time.Second,
		Frame:        iostream.Split(splitCommand).Limit(16 << 20),
		Stream:       iostream.Config{ReadLimit: 16 << 20},
		Message: func(t *ioloop.Task, s *iostream.Stream, msg []byte) error {
			if len(msg) == 0 {
				_, _ = s.WriteString("-ERR Protocol error\r\n")
				return errProtocol
			}
			var reply [64]byte
			_, err := s.Write(db.execute(t.Loop(), reply[:0], arguments(msg)))
			return err
		},
	}
}
