//go:build unix

// Command poller follows several named pipes at once, like tail -f, with package poller
// alone: no loop, no stream. It is for those who have an event loop of their own, or need none.
// It shows registering, waiting, and that what has ended is removed before it is closed.
//
//	mkfifo a b
//	go run ./poller a b        # and in another terminal: echo hello >a
package main

import (
	"fmt"
	"io"
	"log"
	"os"

	"golang.org/x/sys/unix"

	"github.com/eddyloop/eddy/poller"
)

func main() {
	if err := follow(os.Stdout, os.Args[1:]); err != nil {
		log.Fatal(err)
	}
}

// follow prints what is written to the pipes, each piece with the pipe's name, until all of
// them have ended.
func follow(out io.Writer, paths []string) error {
	p, err := poller.New()
	if err != nil {
		return err
	}
	defer p.Close()
	fds := make(map[poller.Token]int)
	defer func() {
		for _, fd := range fds {
			unix.Close(fd)
		}
	}()
	for i, path := range paths {
		fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		fds[poller.Token(i)] = fd
		if err := p.Add(fd, poller.Token(i), poller.Readable, poller.Level); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	events := make([]poller.Event, 16)
	buf := make([]byte, 4096)
	for len(fds) > 0 {
		n, err := p.Wait(events, -1)
		if err != nil {
			return err
		}
		for _, event := range events[:n] {
			fd := fds[event.Token]
			n, err := unix.Read(fd, buf)
			switch {
			case n > 0: // if there is more, Wait tells of it once more: that is what Level means
				fmt.Fprintf(out, "%s: %q\n", paths[event.Token], buf[:n])
			case err == unix.EAGAIN || err == unix.EINTR:
			default: // the last writer has left
				_ = p.Remove(fd)
				unix.Close(fd)
				delete(fds, event.Token)
			}
		}
	}
	return nil
}
