// Command gnet shows how gnet behaves in trouble.
package main

import (
	"net"
	"time"

	"github.com/eddyloop/eddy/bench/internal/peer"
	"github.com/panjf2000/gnet/v2"
	"github.com/panjf2000/gnet/v2/pkg/logging"
)

type server struct {
	gnet.BuiltinEventEngine
	addr net.Addr
}

func main() {
	peer.Parse("late", "big", "writev", "dial")
	if *peer.Mode == "dial" {
		client, err := gnet.NewClient(&gnet.BuiltinEventEngine{}, gnet.WithLogLevel(logging.FatalLevel))
		peer.Check(err)
		peer.Check(client.Start())
		_, err = client.Dial("tcp", *peer.DialTo)
		peer.Dialled(err)
	}
	addr := peer.FreeAddr()
	peer.Check(gnet.Run(&server{addr: addr}, "tcp://"+addr.String(), gnet.WithNumEventLoop(1), gnet.WithLogLevel(logging.FatalLevel)))
}

func (s *server) OnBoot(gnet.Engine) gnet.Action {
	peer.Listening(s.addr)
	return gnet.None
}

func (s *server) OnTraffic(c gnet.Conn) gnet.Action {
	_, _ = c.Discard(-1)
	switch *peer.Mode {
	case "late":
		time.AfterFunc(peer.LateDelay, func() { _ = c.AsyncWrite(peer.LateReply, nil) })
		return gnet.None
	case "big":
		_, _ = c.Write(peer.Big)
	case "writev":
		_, _ = c.Writev(peer.Slices)
	}
	return gnet.Close
}
