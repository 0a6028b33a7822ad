//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package poller_test

import (
	"fmt"
	"log"

	"github.com/eddyloop/eddy/poller"
	"golang.org/x/sys/unix"
)

func Example() {
	p, err := poller.New()
	if err != nil {
		log.Fatal(err)
	}
	defer p.Close()

	var pipe [2]int
	if err := unix.Pipe(pipe[:]); err != nil {
		log.Fatal(err)
	}
	reader, writer := pipe[0], pipe[1]
	if err := p.Add(reader, 1, poller.Readable, poller.Level); err != nil {
		log.Fatal(err)
	}
	unix.Write(writer, []byte("hello"))
	unix.Close(writer)

	events := make([]poller.Event, 16)
	for open := true; open; {
		n, err := p.Wait(events, -1)
		if err != nil {
			log.Fatal(err)
		}
		for _, ev := range events[:n] {
			buf := make([]byte, 64)
			n, err := unix.Read(reader, buf)
			if err != nil {
				log.Fatal(err)
			}
			fmt.Printf("token %d: %q\n", ev.Token, buf[:n])
			if n == 0 {
				p.Remove(reader) // before it is closed
				unix.Close(reader)
				open = false
			}
		}
	}
	// Output:
	// token 1: "hello"
	// token 1: ""
}

// The close watch waits for the peer to go while nobody wants its data.
func ExamplePoller_closeWatch() {
	p, err := poller.New()
	if err != nil {
		log.Fatal(err)
	}
	defer p.Close()

	ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		log.Fatal(err)
	}
	conn, peer := ends[0], ends[1]
	defer unix.Close(conn)
	if err := p.Add(conn, 1, poller.PeerClosed, poller.Level); err != nil {
		log.Fatal(err)
	}
	defer p.Remove(conn)

	events := make([]poller.Event, 16)
	unix.Write(peer, []byte("unread"))
	n, _ := p.Wait(events, 0)
	fmt.Println("after data:", n)

	unix.Close(peer)
	n, _ = p.Wait(events, 0)
	fmt.Println("after the end:", n, events[0].Ready == poller.PeerClosed)
	n, _ = p.Wait(events, 0)
	fmt.Println("once:", n)
	// Output:
	// after data: 0
	// after the end: 1 true
	// once: 0
}

// Another goroutine hands over work and wakes the one that waits.
func ExamplePoller_wake() {
	p, err := poller.New()
	if err != nil {
		log.Fatal(err)
	}
	defer p.Close()

	work := make(chan string, 1)
	go func() {
		work <- "done"
		p.Wake()
	}()
	events := make([]poller.Event, 16)
	for {
		if _, err := p.Wait(events, -1); err != nil {
			log.Fatal(err)
		}
		select {
		case s := <-work:
			fmt.Println(s)
			return
		default: // woken by a signal
		}
	}
	// Output: done
}
