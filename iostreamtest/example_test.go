package iostreamtest_test

import (
	"fmt"
	"log"
	"strings"
	"syscall"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/iostreamtest"
)

// shout is a protocol to be tested: it answers each line in capitals, and ends
// when the peer does.
func shout(t *ioloop.Task, s *iostream.Stream) error {
	for line, err := range s.Messages(t, iostream.Until("\n").Limit(100)) {
		if err != nil {
			return err
		}
		if _, err := s.Write([]byte(strings.ToUpper(string(line)))); err != nil {
			return err
		}
	}
	return nil
}

// A line protocol, with a peer whose bytes come one by one and which breaks off
// in the middle of a line.
func Example() {
	world := iostreamtest.NewWorld()
	defer world.Close()
	wire := iostreamtest.NewWire(iostreamtest.Options{ReadSize: 1})
	stream, err := iostream.New(world.Loop, wire.Transport(), nil)
	if err != nil {
		log.Fatal(err)
	}
	_ = world.Loop.Go(func(t *ioloop.Task) {
		fmt.Println("ended:", shout(t, stream))
	})
	wire.Arrive("hello\nwor")
	fmt.Println(world.Settle())
	fmt.Printf("%q, %d bytes of the next line\n", wire.Sent(), stream.Buffered())
	wire.Reset(syscall.ECONNRESET)
	fmt.Println(world.Settle())
	// Output:
	// <nil>
	// "HELLO\n", 3 bytes of the next line
	// ended: iostream: read until: connection reset by peer
	// <nil>
}

// Two ends of a protocol talk to each other over a connection that misbehaves
// in its own way for each seed.
func ExamplePipe() {
	for seed := range uint64(100) {
		world := iostreamtest.NewWorld()
		here, there := iostreamtest.Pipe(
			iostreamtest.Options{Seed: 2*seed + 1, Window: 10},
			iostreamtest.Options{Seed: 2*seed + 2, RecordSize: 4})
		server, _ := iostream.New(world.Loop, here.Transport(), nil)
		client, _ := iostream.New(world.Loop, there.Transport(), nil)
		_ = world.Loop.Go(func(t *ioloop.Task) {
			_ = shout(t, server)
			_ = server.CloseWrite()
		})
		var answer []byte
		_ = world.Loop.Go(func(t *ioloop.Task) {
			fmt.Fprint(client, "one\ntwo\n")
			_ = client.CloseWrite()
			answer, _ = client.Read(t, iostream.UntilClose())
		})
		if err := world.Settle(); err != nil || string(answer) != "ONE\nTWO\n" {
			fmt.Printf("seed %d: %q, %v\n", seed, answer, err)
		}
		_ = world.Close()
	}
	// Output:
}
