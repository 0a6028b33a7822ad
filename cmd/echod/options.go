package main

import (
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/eddyloop/eddy/internal/ratelog"
	"github.com/eddyloop/eddy/iostream"
)

// options are the command line.
type options struct {
	listen  list
	mode    string
	delim   string
	admin   string
	version bool

	loops     int
	reusePort bool

	tlsCert, tlsKey string
	tlsSelfSigned   bool
	proxyFrom       prefixes

	maxConns       int
	maxMessage     size
	budget         size
	idleTimeout    time.Duration
	messageTimeout time.Duration
	sendTimeout    time.Duration
	drainTimeout   time.Duration

	log     string
	verbose bool

	client clientOptions
}

const (
	defaultListen  = "127.0.0.1:8000"
	defaultDelim   = "that is all!"
	defaultMessage = 1 << 20
	drainTime      = 5 * time.Second
)

var modes = []string{"delim", "line", "raw", "discard", "chargen"}

func (o *options) flags() *flag.FlagSet {
	flags := flag.NewFlagSet("echod", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.Var(&o.listen, "listen", "`address` to listen on: host:port, unix:/path, unix:@name (abstract, Linux), or fd:N (a socket that listens already); may be repeated (default "+defaultListen+", or what a service manager hands over)")
	flags.StringVar(&o.mode, "mode", "delim", "what is done: delim (messages that end in -delim are sent back), line, raw (bytes as they come, RFC 862), discard (RFC 863) or chargen (RFC 864)")
	flags.StringVar(&o.delim, "delim", defaultDelim, "what ends a message in mode delim; a message of nothing else ends the conversation")
	flags.StringVar(&o.admin, "admin", "", "`address` of the admin page, for instance 127.0.0.1:8001; empty is none")
	flags.BoolVar(&o.version, "version", false, "print the version and exit")
	flags.IntVar(&o.loops, "loops", 0, "event loops; 0 is one for each processor")
	flags.BoolVar(&o.reusePort, "reuseport", false, "a listening socket for each loop (SO_REUSEPORT)")
	flags.StringVar(&o.tlsCert, "tls-cert", "", "`file` of the certificate chain (PEM): serve TLS")
	flags.StringVar(&o.tlsKey, "tls-key", "", "`file` of the certificate's key (PEM)")
	flags.BoolVar(&o.tlsSelfSigned, "tls-self-signed", false, "serve TLS with a new certificate of its own, to try it out")
	flags.Var(&o.proxyFrom, "proxy-from", "`network` of proxies, such as 10.0.0.0/8, whose connections begin with a PROXY header; may be repeated. \"unix\" is every peer at a Unix socket")
	flags.IntVar(&o.maxConns, "max-conns", 0, "connections served at once, more have to wait; 0 is no limit")
	o.maxMessage = defaultMessage
	flags.Var(&o.maxMessage, "max-message", "longest message in `bytes`, with what ends it; 64KiB and 1MiB are understood")
	flags.Var(&o.budget, "budget", "`bytes` of memory for all connections together; 0 is no limit")
	flags.DurationVar(&o.idleTimeout, "idle-timeout", 10*time.Minute, "close connections that are silent between messages for so long; 0 is never")
	flags.DurationVar(&o.messageTimeout, "message-timeout", time.Minute, "close connections whose message takes longer from its first byte to its last; 0 is never")
	flags.DurationVar(&o.sendTimeout, "send-timeout", time.Minute, "close connections that take nothing of what is sent for so long; 0 is never")
	flags.DurationVar(&o.drainTimeout, "drain-timeout", drainTime, "how long clients in the middle of a message may take to finish when the daemon is told to stop")
	flags.StringVar(&o.log, "log", "text", "log format: text or json")
	flags.BoolVar(&o.verbose, "v", false, "log every connection")
	o.client.flags(flags)
	return flags
}

// parse reads the command line, and for flags that are not on it the environment:
// ECHOD_MAX_CONNS stands for -max-conns. Help goes to usage; an error is one line.
func parse(args []string, usage io.Writer) (*options, error) {
	o := &options{}
	flags := o.flags()
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(usage, "usage: echod [flags]\nA flag can be given in the environment too: ECHOD_MAX_CONNS is -max-conns.")
			flags.SetOutput(usage)
			flags.PrintDefaults()
		}
		return nil, err
	}
	if flags.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if err := fromEnvironment(flags); err != nil {
		return nil, err
	}
	return o, o.check()
}

// fromEnvironment sets the flags that the command line does not.
func fromEnvironment(flags *flag.FlagSet) (err error) {
	given := map[string]bool{}
	flags.Visit(func(f *flag.Flag) { given[f.Name] = true })
	flags.VisitAll(func(f *flag.Flag) {
		name := "ECHOD_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		value := os.Getenv(name)
		if value == "" || given[f.Name] || err != nil {
			return
		}
		values := []string{value}
		switch f.Value.(type) {
		case *list, *prefixes:
			values = strings.Fields(value)
		}
		for _, v := range values {
			if e := f.Value.Set(v); e != nil {
				err = fmt.Errorf("%s is %q: %w", name, value, e)
				return
			}
		}
	})
	return err
}

func (o *options) check() error {
	switch {
	case !slices.Contains(modes, o.mode):
		return fmt.Errorf("-mode is %q, not %s", o.mode, strings.Join(modes, ", "))
	case o.mode == "delim" && o.delim == "":
		return errors.New("-delim must not be empty")
	case o.loops < 0:
		return errors.New("-loops must not be negative")
	case o.maxConns < 0:
		return errors.New("-max-conns must not be negative")
	case o.maxMessage < 1 || o.maxMessage > iostream.MaxReadLimit:
		return fmt.Errorf("-max-message must be between 1 and %d", iostream.MaxReadLimit)
	case o.mode == "delim" && len(o.delim) > int(o.maxMessage):
		return errors.New("-delim is longer than -max-message")
	case (o.tlsCert == "") != (o.tlsKey == ""):
		return errors.New("-tls-cert and -tls-key go together")
	case o.tlsSelfSigned && o.tlsCert != "":
		return errors.New("-tls-self-signed and -tls-cert exclude each other")
	case o.log != "text" && o.log != "json":
		return fmt.Errorf("-log is %q, not text or json", o.log)
	}
	for name, d := range map[string]time.Duration{
		"idle-timeout": o.idleTimeout, "message-timeout": o.messageTimeout,
		"send-timeout": o.sendTimeout, "drain-timeout": o.drainTimeout,
	} {
		if d < 0 {
			return fmt.Errorf("-%s must not be negative", name)
		}
	}
	return o.client.valid()
}

// tls returns how the daemon serves TLS, nil if it does not.
func (o *options) tls() (*tls.Config, error) {
	var certificate tls.Certificate
	var err error
	switch {
	case o.tlsSelfSigned:
		certificate, err = selfSigned()
	case o.tlsCert != "":
		certificate, err = tls.LoadX509KeyPair(o.tlsCert, o.tlsKey)
	default:
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &tls.Config{Certificates: []tls.Certificate{certificate}}, nil
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

// off turns "0 is never" of the command line into what a server takes for that.
func off(d time.Duration) time.Duration {
	if d == 0 {
		return -1
	}
	return d
}

// list is a flag that may be given several times.
type list []string

func (l *list) String() string { return strings.Join(*l, " ") }

func (l *list) Set(value string) error {
	*l = append(*l, value)
	return nil
}

// prefixes are networks, and "unix".
type prefixes struct {
	networks []netip.Prefix
	unix     bool
}

func (p *prefixes) String() string { return fmt.Sprint(p.networks) }

func (p *prefixes) Set(value string) error {
	if value == "unix" {
		p.unix = true
		return nil
	}
	if address, err := netip.ParseAddr(value); err == nil {
		p.networks = append(p.networks, netip.PrefixFrom(address, address.BitLen()))
		return nil
	}
	network, err := netip.ParsePrefix(value)
	if err != nil {
		return errors.New("it is no network such as 10.0.0.0/8, no address, and not unix")
	}
	p.networks = append(p.networks, network)
	return nil
}

func (p *prefixes) any() bool { return p.unix || len(p.networks) > 0 }

// contain reports whether a peer is one of them.
func (p *prefixes) contain(peer net.Addr) bool {
	switch a := peer.(type) {
	case *net.UnixAddr:
		return p.unix
	case *net.TCPAddr:
		address := a.AddrPort().Addr().Unmap().WithZone("")
		return slices.ContainsFunc(p.networks, func(n netip.Prefix) bool { return n.Contains(address) })
	}
	return false
}

// size is a number of bytes.
type size int64

func (s *size) String() string { return strconv.FormatInt(int64(*s), 10) }

func (s *size) Set(value string) error {
	factor := int64(1)
	for i, unit := range []string{"KiB", "MiB", "GiB"} {
		if number, ok := strings.CutSuffix(value, unit); ok {
			value, factor = number, 1<<(10*(i+1))
		}
	}
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil || n < 0 || n > (1<<62)/factor {
		return errors.New("it is no number of bytes, such as 4096, 64KiB, 1MiB")
	}
	*s = size(n * factor)
	return nil
}
