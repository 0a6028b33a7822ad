// Command echod is an echo daemon: it sends back what its clients send, whole
// messages or bytes as they come.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/eddyloop/eddy/internal/ratelog"
	"github.com/eddyloop/eddy/tcp"
)

// drainTime is how long clients in the middle of a message may take to finish
// when the daemon is told to stop.
const drainTime = 5 * time.Second

// flushTime is how long the log may take to be written in the end.
const flushTime = time.Second

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the drain
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	os.Exit(code)
}

// run is the whole program; it returns the exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, err := parse(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		fmt.Fprintln(stderr, "echod:", err)
		return 2
	}
	if err := serve(ctx, o, stdout, stderr); err != nil {
		fmt.Fprintln(stderr, "echod:", oneLine(err))
		return 1
	}
	return 0
}

// serve runs the daemon until ctx is done.
func serve(ctx context.Context, o *options, stdout, stderr io.Writer) error {
	logger := o.logger(stderr)
	defer ratelog.Flush(logger, flushTime)
	srv := newServer(o, logger)
	var bound []string
	for _, address := range o.listen {
		addr, err := srv.Listen(splitAddress(address))
		if err != nil {
			_ = srv.Close()
			return err
		}
		bound = append(bound, joinAddress(addr))
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(context.Background()) }()
	fmt.Fprintln(stdout, "echod listening on", strings.Join(bound, " "))
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	drain(srv, logger)
	if err := <-served; !errors.Is(err, tcp.ErrServerClosed) {
		return err
	}
	return nil
}

func drain(srv *tcp.Server, logger *slog.Logger) {
	ctx, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	drained, _ := srv.Shutdown(ctx) // its error is the deadline's
	logger.Info("stopped", slog.Int("drained", drained.Drained), slog.Int("forced", drained.Forced))
}

func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }
