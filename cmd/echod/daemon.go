package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/eddyloop/eddy/internal/ratelog"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/tcp"
)

// handoverGrace is how long clients that have just connected may take to say something,
// before a process that has handed over takes them for idle.
const handoverGrace = time.Second

// flushTime is how long the last lines of the log may take to be written.
const flushTime = time.Second

// echod is the running daemon.
type echod struct {
	*options
	log      *slog.Logger
	group    *ioloop.Group
	server   *tcp.Server
	echo     *echo
	bound    []string
	draining atomic.Bool
}

// serve runs the daemon until ctx is done, or another process has taken over.
func serve(ctx context.Context, o *options, stdout, stderr io.Writer) error {
	d := &echod{options: o, log: o.logger(stderr)}
	defer ratelog.Flush(d.log, flushTime)
	var err error
	if d.group, err = ioloop.NewGroup(o.loops, ioloop.Config{Logger: d.log}); err != nil {
		return err
	}
	defer d.group.Close()
	if d.server, d.echo, err = newServer(o, d.group, d.log); err != nil {
		return err
	}
	if err := d.listen(); err != nil {
		_ = d.server.Close()
		return err
	}
	if o.admin != "" {
		stop, err := d.startAdmin()
		if err != nil {
			_ = d.server.Close()
			return err
		}
		defer stop()
	}
	return d.run(ctx, stdout)
}

func (d *echod) run(ctx context.Context, stdout io.Writer) error {
	loops, served := make(chan error, 1), make(chan error, 1)
	go func() { loops <- d.group.Run(context.Background()) }()
	go func() { served <- d.server.Serve(context.Background()) }()
	defer func() { d.group.Stop(); <-loops }()
	handedOver, stop := d.watchForHandover()
	defer stop()
	fmt.Fprintln(stdout, "echod listening on", strings.Join(d.bound, " "))
	if err := ready(); err != nil {
		d.log.Warn("cannot tell that it is ready", slog.Any("err", err))
	}
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	case <-handedOver:
		d.server.StopListening()
		time.Sleep(min(handoverGrace, d.drainTimeout))
	}
	d.drain()
	if err := <-served; !errors.Is(err, tcp.ErrServerClosed) {
		return err
	}
	return nil
}

// listen opens what the command line names, and takes over what the process was
// started with: sockets of systemd or of the echod before it.
func (d *echod) listen() error {
	inherited, err := tcp.Inherited()
	if err != nil {
		return err
	}
	for i, file := range inherited {
		addr, err := d.server.Adopt(file)
		if err != nil {
			for _, f := range inherited[i:] {
				_ = f.Close()
			}
			return err
		}
		d.bound = append(d.bound, joinAddress(addr))
	}
	if len(inherited) > 0 {
		return nil
	}
	addresses := d.options.listen
	if len(addresses) == 0 {
		addresses = list{defaultListen}
	}
	for _, address := range addresses {
		addr, err := d.open(address)
		if err != nil {
			return err
		}
		d.bound = append(d.bound, joinAddress(addr))
	}
	return nil
}

func (d *echod) open(address string) (net.Addr, error) {
	number, ok := strings.CutPrefix(address, "fd:")
	if !ok {
		return d.server.Listen(splitAddress(address))
	}
	fd, err := strconv.Atoi(number)
	if err != nil || fd < 0 {
		return nil, fmt.Errorf("%s: it is no descriptor", address)
	}
	file := os.NewFile(uintptr(fd), address)
	defer file.Close()
	return d.server.Adopt(file)
}

func (d *echod) drain() {
	d.draining.Store(true)
	ctx, cancel := context.WithTimeout(context.Background(), d.drainTimeout)
	defer cancel()
	counts, _ := d.server.Shutdown(ctx) // its error is the deadline's
	d.log.Info("stopped", slog.Int("drained", counts.Drained), slog.Int("forced", counts.Forced))
}

// splitAddress turns a -listen value into what package net calls network and
// address.
func splitAddress(value string) (network, address string) {
	if path, ok := strings.CutPrefix(value, "unix:"); ok {
		return "unix", path
	}
	return "tcp", value
}

// joinAddress turns a bound address back into a -listen value.
func joinAddress(addr net.Addr) string {
	if addr.Network() == "unix" {
		return "unix:" + addr.String()
	}
	return addr.String()
}
