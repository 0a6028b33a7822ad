// Command smtp takes mail (RFC 5321) with STARTTLS (RFC 3207) and prints it. It shows a
// conversation as one task, which reads from top to bottom like the RFC; a stream that
// changes to TLS on the way; and limits: on lines, on mail, and on time. What a client sent
// ahead of TLS in plaintext is refused, not taken for encrypted.
//
//	go run ./smtp
//	swaks --to you@example.org --server 127.0.0.1:2525 --tls
package main

import (
	"context"
	"crypto/tls"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/eddyloop/eddy/tcp"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:2525", "serve on this `address`")
	certFile := flag.String("cert", "", "`file` with the certificate; without it there is no STARTTLS")
	keyFile := flag.String("key", "", "`file` with its key")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	r := &receiver{deliver: func(m mail) {
		fmt.Printf("from %s to %s, TLS %t:\n%s\n", m.from, strings.Join(m.to, ", "), m.tls, m.text)
	}}
	if *certFile != "" {
		cert, err := tls.LoadX509KeyPair(*certFile, *keyFile)
		if err != nil {
			log.Fatal(err)
		}
		r.tlsConfig = &tls.Config{Certificates: []tls.Certificate{cert}}
	}
	log.Print(newServer(r).ListenAndServe(ctx, "tcp", *listen))
}

func newServer(r *receiver) *tcp.Server {
	return &tcp.Server{
		Handler:      r.converse,
		IdleTimeout:  5 * time.Minute,
		DrainTimeout: 30 * time.Second, // mail that is on its way still arrives
		MaxConns:     10_000,
	}
}
