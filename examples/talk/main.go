// Command talk is the reference conversation, both ends of it. A message ends in "that is
// all!" and is sent back; a message that is nothing else ends the conversation. It shows the
// style that most servers want: say what a message is and what to do with one. The client
// is a task, which reads like blocking code.
//
//	go run ./talk                             # the server, on 127.0.0.1:8000
//	go run ./talk -connect 127.0.0.1:8000     # the client, in another terminal
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/tcp"
)

const ending = "that is all!"

func main() {
	listen := flag.String("listen", "127.0.0.1:8000", "serve on this `address`")
	connect := flag.String("connect", "", "talk to the server at this `address`")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	if *connect != "" {
		err = converse(ctx, os.Stdout, *connect, "hi dude! "+ending, "whats up! "+ending)
	} else {
		err = serve(ctx, *listen)
	}
	if err != nil {
		log.Fatal(err)
	}
}

func newServer() *tcp.Server {
	return &tcp.Server{
		DrainTimeout: 10 * time.Second,
		Frame:        iostream.Until(ending),
		Message: func(t *ioloop.Task, s *iostream.Stream, msg []byte) error {
			if string(msg) == ending {
				return s.Close() // once everything is sent
			}
			_, err := s.Write(msg)
			return err
		},
	}
}

// serve serves until ctx is done, and then lets the conversations under way end.
func serve(ctx context.Context, address string) error {
	err := newServer().ListenAndServe(ctx, "tcp", address)
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// converse says one message after another and prints the answers.
func converse(ctx context.Context, out io.Writer, address string, messages ...string) error {
	loop, err := ioloop.New(ioloop.Config{})
	if err != nil {
		return err
	}
	defer loop.Close()
	return loop.RunTask(ctx, func(t *ioloop.Task) error {
		s, err := tcp.Dial(t, loop, "tcp", address)
		if err != nil {
			return err
		}
		defer s.Close()
		for _, msg := range messages {
			if _, err := s.WriteString(msg); err != nil {
				return err
			}
			answer, err := s.Read(t, iostream.Until(ending))
			if err != nil {
				return err
			}
			fmt.Fprintf(out, "%s\n", answer)
		}
		if _, err := s.WriteString(ending); err != nil {
			return err
		}
		_, err = s.Read(t, iostream.UntilClose())
		return err
	})
}
