// Command haproxy becomes haproxy, as a relay with one thread.
package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"syscall"

	"github.com/eddyloop/eddy/bench/internal/peer"
)

// config has splice on where haproxy finds it worth it, as most sites do.
const config = `
global
	nbthread 1
	maxconn 4000
defaults
	mode tcp
	option splice-auto
	timeout connect 10s
	timeout client 1h
	timeout server 1h
listen relay
	bind fd@%d
	server end %s
`

func main() {
	peer.Parse("raw")
	program, err := exec.LookPath("haproxy")
	peer.Check(err)
	l, err := net.Listen("tcp", *peer.Listen)
	peer.Check(err)
	socket, err := l.(*net.TCPListener).File()
	peer.Check(err)
	fd, err := syscall.Dup(int(socket.Fd())) // which exec leaves open
	peer.Check(err)
	f, err := os.CreateTemp("", "haproxy")
	peer.Check(err)
	peer.Check(os.Remove(f.Name())) // its descriptor is enough
	_, err = fmt.Fprintf(f, config, fd, *peer.DialTo)
	peer.Check(err)
	file, err := syscall.Dup(int(f.Fd()))
	peer.Check(err)
	fmt.Println("listening on", l.Addr()) // clients wait in the backlog
	peer.Check(syscall.Exec(program, []string{"haproxy", "-db", "-q", "-f", fmt.Sprint("/proc/self/fd/", file)}, os.Environ()))
}
