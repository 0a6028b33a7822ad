//go:build unix || windows

package iostream_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"log"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
)

// A conversation begins in plaintext; then both sides change to TLS.
func ExampleStream_StartTLS() {
	loop, err := ioloop.New(ioloop.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer loop.Close()
	server, client := connected(loop)
	_ = loop.Go(func(t *ioloop.Task) {
		line, err := server.Read(t, iostream.Until("\n").Limit(100))
		fmt.Printf("%q %v\n", line, err)
		fmt.Fprint(server, "go ahead\n") // leaves before the handshake
		config := &tls.Config{Certificates: []tls.Certificate{hostCertificate()}}
		if err := server.StartTLS(t, iostream.TLSServer(config)); err != nil {
			fmt.Println(err)
			return
		}
		line, err = server.Read(t, iostream.Until("\n").Limit(100))
		fmt.Printf("%q %v\n", line, err)
		_ = server.Close() // says to the peer that nothing is missing
	})
	_ = loop.Go(func(t *ioloop.Task) {
		defer loop.Stop()
		fmt.Fprint(client, "STARTTLS\n")
		line, err := client.Read(t, iostream.Until("\n").Limit(100))
		fmt.Printf("%q %v\n", line, err)
		config := &tls.Config{ServerName: "localhost", RootCAs: testAuthority().pool}
		if err := client.StartTLS(t, iostream.TLSClient(config)); err != nil {
			fmt.Println(err)
			return
		}
		fmt.Fprint(client, "secret\n")
		rest, err := client.Read(t, iostream.UntilClose())
		fmt.Printf("%q %v\n", rest, err)
	})
	if err := loop.Run(context.Background()); err != nil {
		log.Fatal(err)
	}
	// Output:
	// "STARTTLS\n" <nil>
	// "go ahead\n" <nil>
	// "secret\n" <nil>
	// "" <nil>
}
