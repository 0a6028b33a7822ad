//go:build unix || windows

package tcp_test

import (
	"context"
	"crypto/tls"
	"fmt"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/tcp"
)

// A server with TLS, and a client that trusts it.
func ExampleServer_tls() {
	cert, authorities := selfSigned("localhost") // from a file, in earnest
	srv := tcp.Server{
		TLS: &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"hello"}},
		Handler: func(t *ioloop.Task, s *iostream.Stream) error {
			name, err := s.Read(t, iostream.Until("\n").Limit(100))
			if err != nil {
				return err
			}
			state, _ := s.ConnectionState()
			_, err = fmt.Fprintf(s, "hello %sby %s\n", name, tls.VersionName(state.Version))
			return err
		},
	}
	addr, err := srv.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	served := make(chan error)
	go func() { served <- srv.Serve(context.Background()) }()

	loop, err := ioloop.New(ioloop.Config{})
	if err != nil {
		panic(err)
	}
	defer loop.Close()
	_ = loop.Go(func(t *ioloop.Task) {
		defer loop.Stop()
		dialer := tcp.Dialer{TLS: &tls.Config{RootCAs: authorities, NextProtos: []string{"hello"}}}
		s, err := dialer.Dial(t, loop, "tcp", addr.String())
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Fprintln(s, "dude")
		answer, err := s.Read(t, iostream.UntilClose())
		fmt.Printf("%s%v\n", answer, err) // no error: nothing was cut off
	})
	_ = loop.Run(context.Background())

	_ = srv.Close()
	fmt.Println(<-served)
	// Output:
	// hello dude
	// by TLS 1.3
	// <nil>
	// tcp: server closed
}
