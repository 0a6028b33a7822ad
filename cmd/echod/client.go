package main

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"time"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/tcp"
)

// clientOptions are those of echod as a client.
type clientOptions struct {
	connect  string
	tls      bool
	insecure bool

	check    bool
	conns    int
	size     size
	pipeline int
	duration time.Duration
}

func (c *clientOptions) flags(flags *flag.FlagSet) {
	flags.StringVar(&c.connect, "connect", "", "be a client of the server at this `address`: send what is typed, print what comes back")
	flags.BoolVar(&c.tls, "tls", false, "with -connect: use TLS")
	flags.BoolVar(&c.insecure, "tls-insecure", false, "with -connect: use TLS and take any certificate")
	flags.BoolVar(&c.check, "check", false, "with -connect: check an echo server: send messages (of -mode), verify every byte that comes back, report latency and throughput")
	flags.IntVar(&c.conns, "conns", 10, "with -check: connections")
	c.size = 64
	flags.Var(&c.size, "size", "with -check: `bytes` of a message, with what ends it")
	flags.IntVar(&c.pipeline, "pipeline", 1, "with -check: messages under way on each connection")
	flags.DurationVar(&c.duration, "duration", 10*time.Second, "with -check: for how long")
}

func (c *clientOptions) valid() error {
	switch {
	case c.check && c.connect == "":
		return errors.New("-check needs -connect")
	case c.conns < 1 || c.pipeline < 1 || c.size < 1:
		return errors.New("-conns, -pipeline and -size must be at least 1")
	case c.duration <= 0:
		return errors.New("-duration must be above 0")
	}
	return nil
}

func (c *clientOptions) dialer() *tcp.Dialer {
	d := new(tcp.Dialer)
	if c.tls || c.insecure {
		d.TLS = &tls.Config{InsecureSkipVerify: c.insecure}
	}
	return d
}

// converse is echod as a client.
func converse(ctx context.Context, o *options, stdin io.Reader, stdout, stderr io.Writer) error {
	if o.client.check {
		return check(ctx, o, stdout, stderr)
	}
	loop, err := ioloop.New(ioloop.Config{Logger: o.logger(stderr)})
	if err != nil {
		return err
	}
	defer loop.Close()
	go loop.Run(context.Background())
	network, address := splitAddress(o.client.connect)
	s, err := o.client.dialer().Dial(ctx, loop, network, address)
	if err != nil {
		return err
	}
	defer s.Close()
	sent := make(chan error, 1)
	go func() { sent <- sendAll(ctx, s, stdin) }()
	if err := printAll(ctx, s, stdout); err != nil {
		return err
	}
	select {
	case err := <-sent:
		return err
	default: // the server has ended the conversation; nobody waits for what would be typed
		return nil
	}
}

// sendAll sends what comes from r, and its end.
func sendAll(ctx context.Context, s *iostream.Stream, r io.Reader) error {
	buffer := make([]byte, 64<<10)
	for {
		n, err := r.Read(buffer)
		if n > 0 {
			if _, err := s.Write(buffer[:n]); err != nil {
				return err
			}
			if err := s.Room(ctx); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return s.CloseWrite()
		} else if err != nil {
			return err
		}
	}
}

// printAll writes what the server sends to w, until it ends.
func printAll(ctx context.Context, s *iostream.Stream, w io.Writer) error {
	for {
		data, err := s.Read(ctx, iostream.Some(0))
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if _, err := w.Write(data); err != nil {
			return fmt.Errorf("cannot print: %w", err)
		}
	}
}
