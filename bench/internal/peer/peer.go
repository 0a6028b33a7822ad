// Package peer is what all Go servers of the comparison share: their command
// line, their announcement, and the memory that they report.
package peer

import (
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"slices"
	"syscall"
	"time"
)

// ExitSkip is the exit status of a program that its peer has no means for.
const ExitSkip = 3

var (
	// Mode is what the server does with what it receives.
	Mode = flag.String("mode", "raw", "raw: echo bytes; line: echo lines; broadcast: send lines to everybody; wait: echo lines after -wait")
	// Wait is how long mode wait has a handler wait before each answer.
	Wait = flag.Duration("wait", time.Millisecond, "how long mode wait waits before each answer")
	// Listen is the address to listen on.
	Listen = flag.String("listen", "127.0.0.1:0", "address to listen on")
	// TLS asks for TLS with a certificate of this process's making.
	TLS = flag.Bool("tls", false, "serve TLS")
)

// Parse reads the command line. Modes are those that the peer has.
func Parse(modes ...string) {
	flag.Parse()
	if !slices.Contains(modes, *Mode) {
		Skip("no mode " + *Mode)
	}
}

// Skip ends the program: the peer has no means for what is asked.
func Skip(reason string) {
	fmt.Fprintln(os.Stderr, reason)
	os.Exit(ExitSkip)
}

// Check ends the program if err is not nil.
func Check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// Listening announces the address. From now on the program answers SIGUSR1
// with its heap and stacks in use.
func Listening(addr net.Addr) {
	usr1 := make(chan os.Signal, 1)
	signal.Notify(usr1, syscall.SIGUSR1) // first: who is told where to connect may ask at once
	fmt.Println("listening on", addr)
	go func() {
		for range usr1 {
			runtime.GC() // once more than FreeOSMemory, for the victims of sync.Pool
			debug.FreeOSMemory()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			fmt.Println("memory", m.HeapAlloc, m.StackInuse)
		}
	}()
}

// FreeAddr returns a free address, for peers that do not tell theirs.
func FreeAddr() *net.TCPAddr {
	l, err := net.Listen("tcp", *Listen)
	Check(err)
	defer l.Close()
	return l.Addr().(*net.TCPAddr)
}
