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
	"github.com/eddyloop/eddy/bench/internal/workload"
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
	Role   workload.Role
	What   string
	Seldom bool     // takes part in some rounds only: no target refers to it
	Again  bool     // shows what the method makes of no difference
	source string   // below server/
	args   []string // of the program
	libs   []string // to link with, C only
	check  string   // a Python import, Python only
	needs  string   // a program, and Debian's package of that name
	procs  int      // processors; 0 is one
}

// LimitName is the server that is the practical limit.
const LimitName = "cepoll"

// Servers is all of them, in the order of tables.
var Servers = []Server{
	{Name: LimitName, Family: Limit, What: "C, epoll by hand", source: "cepoll/main.c"},
	{Name: "cepoll-again", Family: Limit, What: "the same once more", source: "cepoll/main.c", Again: true},
	{Name: "eddy-callback", Family: Eddy, What: "Eddy, callbacks", source: "eddy", args: []string{"-style", "callback"}},
	{Name: "eddy-message", Family: Eddy, What: "Eddy, a task for each message", source: "eddy", args: []string{"-style", "message"}},
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

	{Name: "eddy-conn", Role: workload.Conn, Family: Eddy, What: "Eddy, a goroutine on NetConn", source: "eddy", args: []string{"-style", "netconn"}},
	{Name: "net-conn", Role: workload.Conn, Family: Go, What: "package net, a goroutine on net.Conn", source: "net"},
	{Name: "eddy-http", Role: workload.HTTP, Family: Eddy, What: "net/http on tcp.Server.NetListener", source: "http", args: []string{"-on", "eddy"}},
	{Name: "net-http", Role: workload.HTTP, Family: Go, What: "net/http on package net", source: "http", args: []string{"-on", "net"}},
	{Name: "eddy-relay", Role: workload.Relay, Family: Eddy, What: "Eddy, a relay", source: "relay", args: []string{"-on", "eddy"}},
	{Name: "net-relay", Role: workload.Relay, Family: Go, What: "package net, io.Copy, which splices", source: "relay", args: []string{"-on", "net"}},
	{Name: "haproxy", Role: workload.Relay, Family: Other, What: "haproxy, mode tcp", source: "haproxy", needs: "haproxy"},
	{Name: "eddy-loops-1", Role: workload.Loops, Family: Eddy, What: "Eddy, callbacks, one loop on one processor", source: "eddy"},
	{Name: "eddy-loops-2", Role: workload.Loops, Family: Eddy, What: "Eddy, callbacks, two loops on two processors", source: "eddy", args: []string{"-loops", "2"}, procs: 2},
	{Name: "net-procs-1", Role: workload.Loops, Family: Go, What: "package net on one processor", source: "net"},
	{Name: "eddy-waits-message", Role: workload.Waits, Family: Eddy, What: "Eddy, a task for each message, which sleeps", source: "eddy", args: []string{"-style", "message"}},
	{Name: "eddy-waits-task", Role: workload.Waits, Family: Eddy, What: "Eddy, a task for each stream, which sleeps", source: "eddy", args: []string{"-style", "task"}},
	{Name: "eddy-waits-callback", Role: workload.Waits, Family: Eddy, What: "Eddy, callbacks and timers", source: "eddy", args: []string{"-style", "callback"}},
	{Name: "net-waits", Role: workload.Waits, Family: Go, What: "package net, a goroutine for each connection, which sleeps", source: "net"},
	{Name: "net-procs-2", Role: workload.Loops, Family: Go, What: "package net on two processors", source: "net", procs: 2},
}

// Bases are the servers that those of a role are compared with.
var Bases = map[workload.Role]string{
	workload.Conn: "net-conn", workload.HTTP: "net-http", workload.Relay: "net-relay", workload.Loops: "net-procs-1",
	workload.Waits: "net-waits",
}

// Of returns those of the servers that have a role.
func Of(servers []Server, role workload.Role) (list []Server) {
	for _, s := range servers {
		if s.Role == role {
			list = append(list, s)
		}
	}
	return list
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

// Load and Ask are the load generators, once BuildLoad and BuildGo have built them.
var (
	Load = filepath.Join(bin, "load")
	Ask  = filepath.Join(bin, "ask")
)

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
	for _, part := range []string{"behaviour", "lag"} {
		if err := os.MkdirAll(filepath.Join(bin, part), 0o777); err != nil {
			return err
		}
	}
	if err := peer.WriteCertificate(filepath.Join(bin, "certificate.pem")); err != nil {
		return err
	}
	if err := run("go", "build", "-o", bin+"/", "./server/...", "./load/ask"); err != nil {
		return err
	}
	for _, part := range []string{"behaviour", "lag"} {
		if err := run("go", "build", "-o", filepath.Join(bin, part)+"/", "./"+part+"/..."); err != nil {
			return err
		}
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
	case s.needs != "":
		if _, err := exec.LookPath(s.needs); err != nil {
			return fmt.Errorf("there is no %s (Debian: %s)", s.needs, s.needs)
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
