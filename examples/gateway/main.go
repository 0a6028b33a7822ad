// Command gateway is the WebSocket gateway for more than one machine: what a client of one
// gateway says, the clients of all get, by way of NATS. Messages are numbered and the last
// ones are kept, so a client whose gateway is restarted, drained or killed comes back to any
// other, names the last number that it has seen, and has missed nothing; what it says twice
// is taken once. It shows work that is waited for in a message, what comes from another
// goroutine brought to all loops, PROXY headers, and the end of a process in good order.
//
// One command runs all of it, with a NATS server of its own:
//
//	go run ./gateway                                         # http://127.0.0.1:8000/
//
// Several share one, which the first serves here, or a cluster:
//
//	go run ./gateway -listen 127.0.0.1:8001 -nats-listen 127.0.0.1:4222
//	go run ./gateway -listen 127.0.0.1:8002 -nats nats://127.0.0.1:4222
//	go run ./gateway -listen 127.0.0.1:8003 -nats nats://a:4222,nats://b:4222,nats://c:4222 -replicas 3
//
// haproxy.cfg puts haproxy in front of three of them, whose -proxies are 127.0.0.0/8.
package main

import (
	"context"
	_ "embed"
	"errors"
	"flag"
	"log"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/gobwas/ws"

	"github.com/eddyloop/eddy/examples/websocket/wsconn"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/tcp"
)

//go:embed page.html
var page []byte

type options struct {
	listen  string
	proxies string
	bus     busOptions
}

func main() {
	var o options
	flag.StringVar(&o.listen, "listen", "127.0.0.1:8000", "serve on this `address`; none: be a NATS server only")
	flag.StringVar(&o.proxies, "proxies", "", "`network` of proxies, whose connections begin with a PROXY header")
	flag.StringVar(&o.bus.urls, "nats", "", "`URLs` of NATS servers; without them there is one in this process")
	flag.StringVar(&o.bus.listen, "nats-listen", "", "let others use the NATS server of this process at this `address`")
	flag.StringVar(&o.bus.store, "nats-store", "", "`folder` in which it keeps messages; none: a temporary one")
	flag.IntVar(&o.bus.replicas, "replicas", 1, "`number` of NATS servers that keep each message")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		log.Fatal(err)
	}
}

// run serves until ctx is done, and then sends the clients to other gateways.
func run(ctx context.Context, o options) error {
	bus, err := openBus(ctx, o.bus)
	if err != nil {
		return err
	}
	defer bus.close()
	if o.listen == "" {
		<-ctx.Done()
		return nil
	}
	group, err := ioloop.NewGroup(0, ioloop.Config{})
	if err != nil {
		return err
	}
	defer group.Close()
	go group.Run(context.Background())
	g := &gateway{name: o.listen, group: group, bus: bus}
	if err := bus.follow(ctx, g.deliver); err != nil {
		return err
	}
	srv, err := g.server(o.proxies)
	if err != nil {
		return err
	}
	context.AfterFunc(ctx, func() { g.drain(srv) })
	err = srv.ListenAndServe(context.Background(), "tcp", o.listen)
	if errors.Is(err, tcp.ErrServerClosed) {
		return nil
	}
	return err
}

func (g *gateway) server(proxies string) (*tcp.Server, error) {
	sockets := &wsconn.Server{Page: page, Open: g.join, Message: g.say}
	srv := &tcp.Server{
		Group:       g.group,
		Frame:       wsconn.Request,
		Message:     sockets.Request,
		IdleTimeout: time.Minute, // pings are answered
		Stream:      iostream.Config{ReadLimit: wsconn.MaxMessage + ws.MaxHeaderSize},
	}
	if proxies != "" {
		network, err := netip.ParsePrefix(proxies)
		if err != nil {
			return nil, err
		}
		srv.ProxyProtocol = &tcp.ProxyProtocol{Trusted: func(peer net.Addr) bool {
			addr, ok := peer.(*net.TCPAddr)
			return ok && network.Contains(addr.AddrPort().Addr().Unmap())
		}}
	}
	return srv, wsconn.PingAll(g.group.Loops(), 30*time.Second)
}

// drain accepts no more clients, and tells those that there are to come back elsewhere.
func (g *gateway) drain(srv *tcp.Server) {
	srv.StopListening()
	g.each(func(c *wsconn.Conn) { _ = c.Shut(ws.StatusGoingAway, "this gateway ends") })
	grace, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	_, _ = srv.Shutdown(grace)
}
