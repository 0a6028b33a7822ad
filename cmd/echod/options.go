package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"time"

	"github.com/eddyloop/eddy/internal/ratelog"
	"github.com/eddyloop/eddy/iostream"
)

// options are the command line.
type options struct {
	listen      addresses
	mode        string
	delim       string
	loops       int
	maxConns    int
	maxMessage  int
	idleTimeout time.Duration
	log         string
	verbose     bool
}

// addresses is a flag that may be given several times.
type addresses []string

func (a *addresses) String() string { return strings.Join(*a, " ") }

func (a *addresses) Set(value string) error {
	*a = append(*a, value)
	return nil
}

const (
	defaultListen  = "127.0.0.1:8000"
	defaultDelim   = "that is all!"
	defaultMessage = 1 << 20
)

// parse reads the command line. Help goes to usage; an error is one line.
func parse(args []string, usage io.Writer) (*options, error) {
	o := &options{}
	flags := flag.NewFlagSet("echod", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.Var(&o.listen, "listen", "`address` to listen on, host:port or unix:/path; may be repeated (default "+defaultListen+")")
	flags.StringVar(&o.mode, "mode", "delim", "what is echoed: delim (messages that end in -delim), line, or raw (bytes as they come)")
	flags.StringVar(&o.delim, "delim", defaultDelim, "what ends a message in mode delim; a message of nothing else ends the conversation")
	flags.IntVar(&o.loops, "loops", 0, "event loops; 0 is one for each processor")
	flags.IntVar(&o.maxConns, "max-conns", 0, "connections served at once, more have to wait; 0 is no limit")
	flags.IntVar(&o.maxMessage, "max-message", defaultMessage, "longest message in bytes, with what ends it")
	flags.DurationVar(&o.idleTimeout, "idle-timeout", 0, "close connections on which nothing moves for so long; 0 is never")
	flags.StringVar(&o.log, "log", "text", "log format: text or json")
	flags.BoolVar(&o.verbose, "v", false, "log every connection")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(usage, "usage: echod [flags]")
			flags.SetOutput(usage)
			flags.PrintDefaults()
		}
		return nil, err
	}
	if len(o.listen) == 0 {
		o.listen = addresses{defaultListen}
	}
	if flags.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	return o, o.check()
}

func (o *options) check() error {
	switch {
	case o.mode != "delim" && o.mode != "line" && o.mode != "raw":
		return fmt.Errorf("-mode is %q, not delim, line or raw", o.mode)
	case o.mode == "delim" && o.delim == "":
		return errors.New("-delim must not be empty")
	case o.loops < 0:
		return errors.New("-loops must not be negative")
	case o.maxConns < 0:
		return errors.New("-max-conns must not be negative")
	case o.maxMessage < 1 || o.maxMessage > iostream.MaxReadLimit:
		return fmt.Errorf("-max-message must be between 1 and %d", iostream.MaxReadLimit)
	case o.mode == "delim" && len(o.delim) > o.maxMessage:
		return errors.New("-delim is longer than -max-message")
	case o.idleTimeout < 0:
		return errors.New("-idle-timeout must not be negative")
	case o.log != "text" && o.log != "json":
		return fmt.Errorf("-log is %q, not text or json", o.log)
	}
	return nil
}

// logger returns one that no client can hold the daemon up with.
func (o *options) logger(w io.Writer) *slog.Logger {
	level := &slog.HandlerOptions{}
	if o.verbose {
		level.Level = slog.LevelDebug
	}
	if o.log == "json" {
		return ratelog.New(slog.NewJSONHandler(w, level))
	}
	return ratelog.New(slog.NewTextHandler(w, level))
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
