//go:build unix

package trouble

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"os"
	"runtime"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/eddyloop/eddy/internal/leaktest"
	"github.com/eddyloop/eddy/internal/testtime"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/tcp"
)

// stats is how a server is.
type stats struct {
	Conns      int
	Accepted   uint64
	Pauses     uint64
	Handshakes uint64 // that have failed
	ForMemory  int64  // streams closed because memory was used up
	Held       int64  // bytes
	Files      int
	Goroutines int
	Heap       int64 // bytes, after a collection
}

// keepAlive is how soon a client is asked whether it is there. NetBSD does not ask, but ends
// the connection, if it had waited for three times as long to be accepted.
var keepAlive = testtime.Patience(time.Second)

// idleCoroutines is how many coroutines each loop keeps for its next tasks. Each is a
// goroutine.
const idleCoroutines = 64

// differs says what is not as it was before, "" if all is.
func (s stats) differs(before stats) string {
	switch {
	case s.Conns != 0 || s.Held != 0:
		return fmt.Sprintf("%d connections left that hold %d bytes", s.Conns, s.Held)
	case s.Files != before.Files:
		return fmt.Sprintf("%d files, were %d", s.Files, before.Files)
	case s.Goroutines > before.Goroutines+idleCoroutines*runtime.GOMAXPROCS(0):
		return fmt.Sprintf("%d goroutines, were %d", s.Goroutines, before.Goroutines)
	case s.Heap > before.Heap+heapSlack:
		return fmt.Sprintf("heap of %d bytes, was %d", s.Heap, before.Heap)
	}
	return ""
}

// overTLS is which of the addresses speaks TLS.
const overTLS = 2

// echoServer echoes lines on three addresses: in tasks, with callbacks, and over
// TLS.
type echoServer struct {
	servers   [3]*tcp.Server
	budget    *iostream.Budget
	forMemory atomic.Int64
}

// serve is the process of the server. Its arguments are how many files it may
// open and how many bytes its streams may hold.
func serve() {
	files, _ := strconv.Atoi(os.Args[1])
	limit, _ := strconv.ParseInt(os.Args[2], 10, 64)
	budget, err := iostream.NewBudget(limit)
	check(err)
	e := &echoServer{budget: budget}
	stream := iostream.Config{Budget: budget, OnClosed: func(_ *iostream.Stream, err error) {
		if errors.Is(err, iostream.ErrBudget) {
			e.forMemory.Add(1)
		}
	}}
	group, err := ioloop.NewGroup(2, ioloop.Config{})
	check(err)
	ended := make(chan error, 4)
	go func() { ended <- group.Run(context.Background()) }()
	logger := slog.New(slog.DiscardHandler)
	socket := tcp.SocketOptions{KeepAlive: net.KeepAliveConfig{Enable: true, Idle: keepAlive, Interval: keepAlive, Count: 3}}
	for i := range e.servers {
		e.servers[i] = &tcp.Server{Callback: echoCallback, Group: group, Stream: stream, Socket: socket, Logger: logger}
	}
	e.servers[0].Handler, e.servers[0].Callback = echoTask, nil
	e.servers[overTLS].TLS = &tls.Config{Certificates: []tls.Certificate{selfSigned()}}
	time.Sleep(time.Millisecond) // has the runtime open what it keeps for itself
	var addrs []any
	for _, srv := range e.servers {
		addr, err := srv.Listen("tcp", "127.0.0.1:0")
		check(err)
		addrs = append(addrs, addr)
		go func() { ended <- srv.Serve(context.Background()) }()
	}
	check(syscall.Setrlimit(syscall.RLIMIT_NOFILE, limitOf(openFiles()+files)))
	fmt.Println(addrs...)
	for questions := bufio.NewScanner(os.Stdin); questions.Scan(); {
		answer, err := json.Marshal(e.stats())
		check(err)
		fmt.Println(string(answer))
	}
	for _, srv := range e.servers {
		check(srv.Close())
		<-ended
	}
	check(group.Close())
	check(<-ended)
}

func selfSigned() tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(1000 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	check(err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func limitOf(n int) *syscall.Rlimit {
	var limit syscall.Rlimit
	check(syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit))
	setLimit(&limit.Cur, n)
	return &limit
}

// setLimit stores n where the systems differ in the type.
func setLimit[T int64 | uint64](p *T, n int) { *p = T(n) }

// openFiles counts descriptors without opening one.
func openFiles() int {
	n := 0
	for fd := range 20_000 {
		var st syscall.Stat_t
		if syscall.Fstat(fd, &st) == nil {
			n++
		}
	}
	return n
}

func (e *echoServer) stats() stats {
	var s stats
	for _, srv := range e.servers {
		n := srv.Stats()
		s.Conns += n.Conns
		s.Accepted += n.Accepted
		s.Pauses += n.AcceptPauses
		s.Handshakes += n.HandshakeErrors
	}
	s.ForMemory, s.Held = e.forMemory.Load(), e.budget.Used()
	s.Files, s.Goroutines = openFiles(), leaktest.Goroutines()
	runtime.GC()
	runtime.GC() // the second empties the pools
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	s.Heap = int64(m.HeapAlloc)
	return s
}

func echoTask(t *ioloop.Task, s *iostream.Stream) error {
	for {
		line, err := s.Read(t, iostream.Until("\n"))
		if err != nil {
			return err
		}
		if _, err := s.Write(line); err != nil {
			return err
		}
		if err := s.Room(t); err != nil {
			return err
		}
	}
}

func echoCallback(s *iostream.Stream) {
	err := s.Handle(iostream.Until("\n"), func(line []byte, err error) bool {
		if err == nil {
			_, err = s.Write(line)
		}
		if err != nil && !errors.Is(err, io.EOF) {
			s.Abort(err)
		}
		return err == nil
	})
	check(err)
}
