// Command nethttp serves HTTP/1.1 and HTTP/2 with net/http, and gRPC with grpc-go, both on
// streams: whatever takes a net.Listener is given a NetListener, and whatever dials takes
// Dialer.DialContext. The gRPC service is the standard one for health. It shows two servers on
// the loops of one Group, and in which order all of it ends.
//
//	go run ./nethttp -cert cert.pem -key key.pem
//	curl --http2 -k https://127.0.0.1:8443/
package main

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/tcp"
)

func main() {
	web := flag.String("web", "127.0.0.1:8443", "serve HTTPS on this `address`")
	rpc := flag.String("rpc", "127.0.0.1:9090", "serve gRPC on this `address`")
	certFile := flag.String("cert", "cert.pem", "`file` with the certificate")
	keyFile := flag.String("key", "key.pem", "`file` with its key")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	cert, err := tls.LoadX509KeyPair(*certFile, *keyFile)
	if err == nil {
		err = serve(ctx, cert, *web, *rpc)
	}
	if err != nil {
		log.Fatal(err)
	}
}

// serve serves until ctx is done, and then ends in good order.
func serve(ctx context.Context, cert tls.Certificate, webAddress, rpcAddress string) error {
	group, err := ioloop.NewGroup(0, ioloop.Config{})
	if err != nil {
		return err
	}
	defer group.Close()
	go group.Run(context.Background())

	secure := &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"h2", "http/1.1"}}
	webListener, err := listen(&tcp.Server{Group: group, TLS: secure}, webAddress)
	if err != nil {
		return err
	}
	defer webListener.Close()
	rpcListener, err := listen(&tcp.Server{Group: group}, rpcAddress)
	if err != nil {
		return err
	}
	defer rpcListener.Close()

	web := &http.Server{Handler: http.HandlerFunc(hello), ReadHeaderTimeout: 10 * time.Second}
	rpc := grpc.NewServer()
	grpc_health_v1.RegisterHealthServer(rpc, health.NewServer())
	ended := make(chan error, 2)
	go func() { ended <- web.Serve(webListener) }()
	go func() { ended <- rpc.Serve(rpcListener) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	context.AfterFunc(grace, rpc.Stop) // a client may never end
	rpc.GracefulStop()
	return web.Shutdown(grace)
}

// listen returns a listener of connections that live on the loops of srv. It is closed by
// whoever serves it, which ends srv too.
func listen(srv *tcp.Server, address string) (net.Listener, error) {
	if _, err := srv.Listen("tcp", address); err != nil {
		return nil, err
	}
	listener, err := srv.NetListener()
	if err != nil {
		return nil, err
	}
	go func() {
		if err := srv.Serve(context.Background()); !errors.Is(err, tcp.ErrServerClosed) {
			log.Print(err)
		}
	}()
	return listener, nil
}

func hello(w http.ResponseWriter, r *http.Request) {
	fmt.Fprintf(w, "hello over %s from %s\n", r.Proto, r.TLS.ServerName)
}
