//go:build unix || windows

package tcp_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/tcp"
)

// A server whose handler is a task: it reads as if it were alone, and costs no
// goroutine while it waits.
func ExampleServer() {
	srv := tcp.Server{Handler: func(t *ioloop.Task, s *iostream.Stream) error {
		for {
			msg, err := s.Read(t, iostream.Until("that is all!"))
			if err != nil {
				return err
			}
			if string(msg) == "that is all!" {
				return nil // the server sends what is written, and closes the stream
			}
			if _, err := s.Write(msg); err != nil {
				return err
			}
		}
	}}
	addr, err := srv.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	served := make(chan error)
	go func() { served <- srv.Serve(context.Background()) }()

	converse(addr.String())

	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_, err = srv.Shutdown(ctx)
	fmt.Println(err)
	fmt.Println(<-served)
	// Output:
	// hi dude! that is all!
	// whats up! that is all!
	// <nil>
	// tcp: server closed
}

// A server with callbacks, which costs the least memory for each connection.
func ExampleServer_callback() {
	srv := tcp.Server{Callback: func(s *iostream.Stream) {
		_ = s.Handle(iostream.Until("that is all!"), func(msg []byte, err error) bool {
			switch {
			case err != nil:
				s.Abort(err)
				return false
			case string(msg) == "that is all!":
				_ = s.Close()
				return false
			}
			_, err = s.Write(msg)
			return err == nil
		})
	}}
	addr, err := srv.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error)
	go func() { served <- srv.Serve(ctx) }()

	converse(addr.String())

	cancel()
	fmt.Println(<-served)
	// Output:
	// hi dude! that is all!
	// whats up! that is all!
	// context canceled
}

// converse talks to a server from a task.
func converse(address string) {
	loop, err := ioloop.New(ioloop.Config{})
	if err != nil {
		panic(err)
	}
	defer loop.Close()
	_ = loop.Go(func(t *ioloop.Task) {
		defer loop.Stop()
		s, err := tcp.Dial(t, loop, "tcp", address)
		if err != nil {
			fmt.Println(err)
			return
		}
		defer s.Close()
		for _, msg := range []string{"hi dude! that is all!", "whats up! that is all!"} {
			_, _ = s.Write([]byte(msg))
			echo, err := s.Read(t, iostream.Until("that is all!"))
			if err != nil {
				fmt.Println(err)
				return
			}
			fmt.Println(string(echo))
		}
		_, _ = s.Write([]byte("that is all!"))
		_, _ = s.Read(t, iostream.UntilClose())
	})
	_ = loop.Run(context.Background())
}

// A client on a goroutine: the same calls block it.
func ExampleDial() {
	srv := tcp.Server{Handler: func(t *ioloop.Task, s *iostream.Stream) error {
		_, err := s.Write([]byte("hello\n"))
		return err
	}}
	addr, err := srv.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	loop, err := ioloop.New(ioloop.Config{})
	if err != nil {
		panic(err)
	}
	done := make(chan error, 2)
	go func() { done <- srv.Serve(context.Background()) }()
	go func() { done <- loop.Run(context.Background()) }()

	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	s, err := tcp.Dial(ctx, loop, "tcp", addr.String())
	if err != nil {
		panic(err)
	}
	line, err := s.Read(ctx, iostream.Until("\n"))
	fmt.Printf("%q %v\n", line, err)

	_ = s.Close()
	_ = srv.Close()
	_ = loop.Close()
	<-done
	<-done
	// Output:
	// "hello\n" <nil>
}

// net/http over streams: the server's connections live on its loops.
func ExampleServer_NetListener() {
	var srv tcp.Server
	addr, err := srv.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	listener, err := srv.NetListener()
	if err != nil {
		panic(err)
	}
	served := make(chan error)
	go func() { served <- srv.Serve(context.Background()) }()

	web := http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "hello, %s", r.URL.Path[1:])
	})}
	go func() { _ = web.Serve(listener) }()

	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	reply, err := client.Get("http://" + addr.String() + "/eddy")
	if err != nil {
		panic(err)
	}
	body, _ := io.ReadAll(reply.Body)
	_ = reply.Body.Close()
	fmt.Println(string(body))

	_ = web.Shutdown(context.Background())
	fmt.Println(<-served)
	// Output:
	// hello, eddy
	// tcp: server closed
}
