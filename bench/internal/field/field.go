// Package field knows the servers that are compared: how each is built and
// run, and why one cannot be.
package field

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/eddyloop/eddy/bench/internal/peer"
)

// Family groups servers for ratios and colours.
type Family string

// The families: the practical limit, Eddy, Go peers, and everything else.
const (
	Limit Family = "limit"
	Eddy  Family = "Eddy"
	Go    Family = "Go"
	Other Family = "other"
)

// Server is one way to serve.
type Server struct {
	Name   string
	Family Family
	What   string
	Seldom bool     // takes part in some rounds only: no target refers to it
	Again  bool     // shows what the method makes of no difference
	source string   // below server/
	args   []string // of the program
	libs   []string // to link with, C only
	check  string   // a Python import, Python only
}

// LimitName is the server that is the practical limit.
const LimitName = "cepoll"

// Servers is all of them, in the order of tables.
var Servers = []Server{
	{Name: LimitName, Family: Limit, What: "C, epoll by hand", source: "cepoll/main.c"},
	{Name: "cepoll-again", Family: Limit, What: "the same once more", source: "cepoll/main.c", Again: true},
	{Name: "eddy-callback", Family: Eddy, What: "Eddy, callbacks", source: "eddy", args: []string{"-style", "callback"}},
	{Name: "eddy-task", Family: Eddy, What: "Eddy, a task for each stream", source: "eddy", args: []string{"-style", "task"}},
	{Name: "eddy-goroutine", Family: Eddy, What: "Eddy, a goroutine for each stream", source: "eddy", args: []string{"-style", "goroutine"}, Seldom: true},
	{Name: "eddy-netconn", Family: Eddy, What: "Eddy, a goroutine on NetConn", source: "eddy", args: []string{"-style", "netconn"}, Seldom: true},
	{Name: "net-4k", Family: Go, What: "package net, bufio of 4 KiB", source: "net", args: []string{"-buf", "4096"}},
	{Name: "net-64k", Family: Go, What: "package net, bufio of 64 KiB", source: "net", args: []string{"-buf", "65536"}},
	{Name: "gnet", Family: Go, What: "panjf2000/gnet", source: "gnet"},
	{Name: "netpoll", Family: Go, What: "cloudwego/netpoll", source: "netpoll"},
	{Name: "evio", Family: Go, What: "tidwall/evio", source: "evio"},
	{Name: "gaio", Family: Go, What: "xtaci/gaio", source: "gaio"},
	{Name: "libuv", Family: Other, What: "C, libuv", source: "libuv/main.c", libs: []string{"-luv"}, Seldom: true},
	{Name: "libevent", Family: Other, What: "C, libevent", source: "libevent/main.c", libs: []string{"-levent_core"}, Seldom: true},
	{Name: "tornado", Family: Other, What: "Python, Tornado", source: "tornado/main.py", check: "tornado", Seldom: true},
	{Name: "uvloop", Family: Other, What: "Python, asyncio on uvloop", source: "uvloop/main.py", check: "uvloop", Seldom: true},
}

// Find returns the servers of those names, in the order of tables.
func Find(names []string) ([]Server, error) {
	var found []Server
	for _, s := range Servers {
		for _, name := range names {
			if s.Name == name {
				found = append(found, s)
			}
		}
	}
	if len(found) != len(names) {
		return nil, fmt.Errorf("unknown or repeated server in %s", strings.Join(names, ","))
	}
	return found, nil
}

// python is Debian's, which has Debian's packages.
const python = "/usr/bin/python3"

const bin = "bin"

// Load is the load generator, once BuildLoad has built it.
var Load = filepath.Join(bin, "load")

// BuildLoad builds the load generator, and tells whether it can do TLS.
func BuildLoad() (tls bool, err error) {
	_, missing := os.Stat("/usr/include/openssl/ssl.h")
	libs := []string{"-lssl", "-lcrypto"}
	if missing != nil {
		libs = nil
	}
	return missing == nil, compile("load", "load/load.c", libs)
}

// BuildGo makes a certificate and builds what is in Go: the servers, and the
// programs of the behaviour table.
func BuildGo() error {
	if err := os.MkdirAll(filepath.Join(bin, "behaviour"), 0o777); err != nil {
		return err
	}
	if err := peer.WriteCertificate(filepath.Join(bin, "certificate.pem")); err != nil {
		return err
	}
	if err := run("go", "build", "-o", bin+"/", "./server/..."); err != nil {
		return err
	}
	if err := run("go", "build", "-o", filepath.Join(bin, "behaviour")+"/", "./behaviour/..."); err != nil {
		return err
	}
	return run("go", "test", "-c", "-o", filepath.Join(bin, "nettest"), "./behaviour/nettest")
}

// Build makes s ready to run; those in Go, BuildGo has. The error tells why it
// cannot be run here.
func (s Server) Build() error {
	switch {
	case strings.HasSuffix(s.source, ".c"):
		if err := compile(s.Name, filepath.Join("server", s.source), s.libs); err != nil || s.libs == nil {
			return err
		}
		return compile(filepath.Join("behaviour", s.Name), filepath.Join("behaviour", s.source), s.libs)
	case s.check != "":
		if err := exec.Command(python, "-c", "import "+s.check).Run(); err != nil {
			return fmt.Errorf("%s has no module %s (Debian: python3-%s)", python, s.check, s.check)
		}
	}
	return nil
}

func compile(name, source string, libs []string) error {
	if err := os.MkdirAll(bin, 0o777); err != nil {
		return err
	}
	return run("gcc", append([]string{"-O2", "-Wall", "-o", filepath.Join(bin, name), source}, libs...)...)
}

func run(name string, args ...string) error {
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil && len(out) > 0 {
		first, _, _ := strings.Cut(string(out), "\n")
		return fmt.Errorf("%s %s: %s", name, strings.Join(args, " "), first)
	}
	return err
}

// Command returns the command line that runs s.
func (s Server) Command() []string {
	switch {
	case s.check != "":
		return append([]string{python, filepath.Join("server", s.source)}, s.args...)
	case strings.HasSuffix(s.source, ".c"):
		return []string{filepath.Join(bin, s.Name)}
	}
	return append([]string{filepath.Join(bin, s.source)}, s.args...)
}
