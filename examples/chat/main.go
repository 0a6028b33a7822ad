// Command chat is a room in which people talk by lines: nc is a client. Whoever comes says
// a name first. The room never waits for anybody: what a member has not read is kept for a
// while, and who reads too slowly is told so and dropped. Who says no name, or nothing for
// long, is dropped as well. It shows a server that speaks first, what it knows of a
// connection, writing to streams of other connections and loops, and clocks.
//
//	go run ./chat
//	nc 127.0.0.1 8000
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"strings"
	"sync"
	"time"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/tcp"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:8000", "serve on this `address`")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	r := &room{nameTimeout: time.Minute, idleTimeout: time.Hour, maxBacklog: 64 << 10}
	log.Print(r.server().ListenAndServe(ctx, "tcp", *listen))
}

// room is who is there.
type room struct {
	nameTimeout time.Duration // to say a name
	idleTimeout time.Duration // between two lines
	maxBacklog  int           // bytes that may wait for a member who does not read

	mu      sync.Mutex
	members map[string]*iostream.Stream
}

// nameOf is what a member is called; "" until a name was said.
var nameOf iostream.Value[string]

func (r *room) server() *tcp.Server {
	return &tcp.Server{
		Open:         r.enter,
		Frame:        iostream.Until("\n").Limit(1024),
		Message:      r.line,
		IdleTimeout:  r.idleTimeout,
		DrainTimeout: 10 * time.Second,
		Stream:       iostream.Config{OnClosed: r.left, SendTimeout: -1},
	}
}

// enter asks for a name. The lines that follow are each a message.
func (r *room) enter(_ *ioloop.Task, s *iostream.Stream) error {
	s.Loop().AfterFunc(r.nameTimeout, func() {
		if *nameOf.Of(s) == "" {
			drop(s, "you have not said your name")
		}
	})
	_, err := fmt.Fprint(s, "* your name?\n")
	return err
}

func (r *room) line(_ *ioloop.Task, s *iostream.Stream, msg []byte) error {
	text := strings.TrimRight(string(msg), "\r\n")
	name := nameOf.Of(s)
	switch {
	case *name == "":
		if !r.join(s, text) {
			_, err := fmt.Fprint(s, "* that name is taken, or none; your name?\n")
			return err
		}
		*name = text
	case text == "/quit":
		return s.Close()
	case text != "":
		r.say(s, "<"+*name+"> "+text)
	}
	return nil
}

func (r *room) join(s *iostream.Stream, name string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if name == "" || r.members[name] != nil {
		return false
	}
	if r.members == nil {
		r.members = make(map[string]*iostream.Stream)
	}
	r.members[name] = s
	r.sayLocked(nil, "* "+name+" is here")
	return true
}

// say tells everybody but from.
func (r *room) say(from *iostream.Stream, text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sayLocked(from, text)
}

// sayLocked writes to streams of any loop: Write does not wait. Who has too much to read
// already gets no more.
func (r *room) sayLocked(from *iostream.Stream, text string) {
	for _, s := range r.members {
		switch {
		case s == from:
		case s.Backlog() > r.maxBacklog:
			drop(s, "you read too slowly")
		default:
			fmt.Fprintf(s, "%s\n", text) // a member who has gone is told of by left
		}
	}
}

// drop says why, and closes: that takes as long as the client reads on, and nobody waits.
func drop(s *iostream.Stream, why string) {
	fmt.Fprintf(s, "* %s: good bye\n", why)
	_ = s.Close()
}

// left is called when a stream has closed, for whatever reason.
func (r *room) left(s *iostream.Stream, _ error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	name := *nameOf.Of(s)
	if name == "" || r.members[name] != s {
		return
	}
	delete(r.members, name)
	r.sayLocked(nil, "* "+name+" has left")
}
