// Command relay stands in front of a server: it ends TLS, and tells the server by a PROXY
// header who the client is. It shows a Handler, which has a connection to itself, dialling
// from it, and Relay, which passes bytes both ways at the pace of the slower side and half-closes
// like for like.
//
//	go run ./relay -cert cert.pem -key key.pem -backend 127.0.0.1:8080
package main

import (
	"context"
	"crypto/tls"
	"flag"
	"log"
	"os"
	"os/signal"
	"time"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/tcp"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:8443", "serve on this `address`")
	backend := flag.String("backend", "127.0.0.1:8080", "`address` of the server, which expects PROXY headers")
	certFile := flag.String("cert", "cert.pem", "`file` with the certificate")
	keyFile := flag.String("key", "key.pem", "`file` with its key")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	cert, err := tls.LoadX509KeyPair(*certFile, *keyFile)
	if err != nil {
		log.Fatal(err)
	}
	log.Print(newServer(cert, *backend).ListenAndServe(ctx, "tcp", *listen))
}

func newServer(cert tls.Certificate, backend string) *tcp.Server {
	dialer := &tcp.Dialer{Timeout: 5 * time.Second}
	return &tcp.Server{
		TLS:          &tls.Config{Certificates: []tls.Certificate{cert}},
		IdleTimeout:  10 * time.Minute,
		DrainTimeout: 10 * time.Second,
		Handler: func(t *ioloop.Task, client *iostream.Stream) error {
			server, err := dialer.Dial(t, client.Loop(), "tcp", backend)
			if err != nil {
				return err
			}
			defer server.Close()
			who := tcp.ProxyHeader{Version: 1, Source: client.RemoteAddr(), Destination: client.LocalAddr()}
			header, err := who.Append(nil)
			if err != nil {
				return err
			}
			if _, err := server.Write(header); err != nil {
				return err
			}
			_, err = iostream.Relay(t, client, server)
			return err
		},
	}
}
