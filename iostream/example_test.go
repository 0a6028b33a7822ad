//go:build unix || windows

package iostream_test

import (
	"context"
	"fmt"
	"log"

	"github.com/eddyloop/eddy/internal/posix"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
)

// connected returns two streams that are connected to one another.
func connected(l *ioloop.Loop) (a, b *iostream.Stream) {
	fds, err := posix.Socketpair(posix.AF_UNIX, posix.SOCK_STREAM, 0)
	if err != nil {
		log.Fatal(err)
	}
	if a, err = iostream.NewSocket(l, fds[0], nil); err != nil {
		log.Fatal(err)
	}
	if b, err = iostream.NewSocket(l, fds[1], nil); err != nil {
		log.Fatal(err)
	}
	return a, b
}

// Two tasks talk to each other; each waits without holding the loop.
func ExampleStream_Read() {
	loop, err := ioloop.New(ioloop.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer loop.Close()
	a, b := connected(loop)
	_ = loop.Go(func(t *ioloop.Task) {
		line, err := a.Read(t, iostream.Until("\n").Limit(100))
		fmt.Printf("%q %v\n", line, err)
		fmt.Fprintf(a, "you said %s", line)
		_ = a.CloseWrite()
	})
	_ = loop.Go(func(t *ioloop.Task) {
		fmt.Fprintln(b, "hello")
		answer, err := b.Read(t, iostream.UntilClose())
		fmt.Printf("%q %v\n", answer, err)
		loop.Stop()
	})
	if err := loop.Run(context.Background()); err != nil {
		log.Fatal(err)
	}
	// Output:
	// "hello\n" <nil>
	// "you said hello\n" <nil>
}

// A goroutine uses a stream like a blocking connection.
func ExampleStream_Messages() {
	loop, err := ioloop.New(ioloop.Config{})
	if err != nil {
		log.Fatal(err)
	}
	ended := make(chan error)
	go func() { ended <- loop.Run(context.Background()) }()
	a, b := connected(loop)
	fmt.Fprint(a, "one\ntwo\nthree\n")
	_ = a.CloseWrite()
	for message, err := range b.Messages(context.Background(), iostream.Until("\n")) {
		fmt.Printf("%q %v\n", message, err)
	}
	_ = loop.Close()
	fmt.Println(<-ended)
	// Output:
	// "one\n" <nil>
	// "two\n" <nil>
	// "three\n" <nil>
	// <nil>
}

// Any number of writes can be under way; each can be waited for.
func ExampleStream_WaitSent() {
	loop, err := ioloop.New(ioloop.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer loop.Close()
	a, b := connected(loop)
	_ = b.Handle(iostream.Some(0), func(bytes []byte, err error) bool { return err == nil })
	_ = loop.Go(func(t *ioloop.Task) {
		fmt.Fprint(a, "first")
		first := a.Mark()
		fmt.Fprint(a, "second")
		fmt.Println(first, a.WaitSent(t, first))
		fmt.Println(a.Mark(), a.Flush(t))
		loop.Stop()
	})
	if err := loop.Run(context.Background()); err != nil {
		log.Fatal(err)
	}
	// Output:
	// 5 <nil>
	// 11 <nil>
}
