package iostreamtest_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"time"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/iostreamtest"
	"github.com/eddyloop/eddy/tcp"
)

// line is the frame of the protocol that the examples test: each line is answered in
// capitals.
var line = iostream.Until("\n").Limit(100)

// A server of messages, whose clock a test moves.
func Example_message() {
	world := iostreamtest.NewWorld()
	defer world.Close()
	wire := iostreamtest.NewWire(iostreamtest.Options{})
	stream, err := world.Serve(&tcp.Server{
		Frame: line,
		Message: func(t *ioloop.Task, s *iostream.Stream, msg []byte) error {
			_, err := s.WriteString(strings.ToUpper(string(msg)))
			return err
		},
	}, wire)
	fmt.Println(err)
	wire.Arrive([]byte("hello\nwor"))
	fmt.Println(world.Settle())
	fmt.Printf("%q\n", wire.Sent())
	fmt.Println(world.Advance(tcp.DefaultMessageTimeout)) // the rest of the line does not come
	fmt.Println("FIN:", wire.State().FINs)
	wire.FIN()
	fmt.Println(world.Settle())
	fmt.Println(errors.Is(stream.Err(), iostream.ErrMessageTimeout))
	// Output:
	// <nil>
	// <nil>
	// "HELLO\n"
	// <nil>
	// FIN: 1
	// <nil>
	// true
}

// A server of callbacks, with a client that takes nothing of what it asks for.
func Example_callback() {
	world := iostreamtest.NewWorld()
	defer world.Close()
	wire := iostreamtest.NewWire(iostreamtest.Options{Window: 4})
	srv := &tcp.Server{Callback: func(s *iostream.Stream) {
		_ = s.Handle(line, func(msg []byte, err error) bool {
			if err != nil {
				return false
			}
			_, err = s.WriteString(strings.ToUpper(string(msg)))
			return err == nil
		})
	}}
	stream, _ := world.Serve(srv, wire)
	wire.Arrive([]byte("hello\n"))
	fmt.Println(world.Settle())
	fmt.Printf("%q\n", wire.Sent())
	wire.SetWindow(iostreamtest.NoWindow)
	fmt.Println(world.Advance(3 * tcp.DefaultSendTimeout))
	fmt.Println(errors.Is(stream.Err(), iostream.ErrSendTimeout), srv.Stats().Conns)
	// Output:
	// <nil>
	// "HELL"
	// <nil>
	// true 0
}

// A server of tasks, whose client's bytes come one by one, and which breaks off in the
// middle of a line.
func Example_task() {
	world := iostreamtest.NewWorld()
	defer world.Close()
	wire := iostreamtest.NewWire(iostreamtest.Options{ReadSize: 1})
	srv := &tcp.Server{Handler: func(t *ioloop.Task, s *iostream.Stream) error {
		for msg, err := range s.Messages(t, line) {
			if err != nil {
				return err
			}
			if _, err := s.WriteString(strings.ToUpper(string(msg))); err != nil {
				return err
			}
		}
		return nil
	}}
	srv.Hooks.Failed = func(_ *iostream.Stream, err error) { fmt.Println("handler:", err) }
	stream, _ := world.Serve(srv, wire)
	wire.Arrive([]byte("hello\nwor"))
	fmt.Println(world.Settle())
	fmt.Printf("%q, %d bytes of the next line\n", wire.Sent(), stream.Buffered())
	wire.Reset(syscall.ECONNRESET)
	fmt.Println(world.Settle())
	// Output:
	// <nil>
	// "HELLO\n", 3 bytes of the next line
	// handler: iostream: read until: connection reset by peer
	// <nil>
}

// A goroutine waits with a context of its own. The loop runs while it does.
func Example_goroutine() {
	world := iostreamtest.NewWorld()
	defer world.Close()
	wire := iostreamtest.NewWire(iostreamtest.Options{Seed: 1})
	stream, _ := iostream.New(world.Loop, wire.Transport(), nil)
	wire.Arrive([]byte("hello\nworld\n"))
	wire.FIN()
	err := world.RunWhile(func() error {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		for msg, err := range stream.Messages(ctx, line) {
			if err != nil {
				return err
			}
			if _, err := stream.WriteString(strings.ToUpper(string(msg))); err != nil {
				return err
			}
		}
		return stream.Close()
	})
	fmt.Printf("%q, %v\n", wire.Sent(), err)
	// Output:
	// "HELLO\nWORLD\n", <nil>
}

// A server that hands net.Conns to code which knows nothing of Eddy.
func Example_netConn() {
	world := iostreamtest.NewWorld()
	defer world.Close()
	srv := new(tcp.Server)
	listener, _ := srv.NetListener()
	wire := iostreamtest.NewWire(iostreamtest.Options{ReadSize: 3})
	_, _ = world.Serve(srv, wire)
	wire.Arrive([]byte("hello\nworld\n"))
	wire.FIN()
	serve := func(c net.Conn) error {
		defer c.Close()
		lines := bufio.NewScanner(c)
		for lines.Scan() {
			fmt.Fprintf(c, "%s\n", strings.ToUpper(lines.Text()))
		}
		return lines.Err()
	}
	err := world.RunWhile(func() error {
		c, err := listener.Accept()
		if err != nil {
			return err
		}
		return serve(c)
	})
	fmt.Printf("%q, %v\n", wire.Sent(), err)
	// Output:
	// "HELLO\nWORLD\n", <nil>
}

// Both ends of a protocol talk over a connection that misbehaves in its own way for
// each seed.
func ExamplePipe() {
	for seed := range uint64(100) {
		world := iostreamtest.NewWorld()
		here, there := iostreamtest.Pipe(
			iostreamtest.Options{Seed: 2*seed + 1, Window: 10},
			iostreamtest.Options{Seed: 2*seed + 2, RecordSize: 4})
		_, _ = world.Serve(&tcp.Server{Handler: func(t *ioloop.Task, s *iostream.Stream) error {
			_, err := io.Copy(s.IO(t), s.IO(t))
			return err
		}}, here)
		client, _ := iostream.New(world.Loop, there.Transport(), nil)
		var answer []byte
		_ = world.Loop.Go(func(t *ioloop.Task) {
			_, _ = client.WriteString("one\ntwo\n")
			_ = client.CloseWrite()
			answer, _ = client.Read(t, iostream.UntilClose())
		})
		if err := world.Settle(); err != nil || string(answer) != "one\ntwo\n" {
			fmt.Printf("seed %d: %q, %v\n", seed, answer, err)
		}
		_ = world.Close()
	}
	// Output:
}
