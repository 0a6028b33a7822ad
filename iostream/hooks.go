package iostream

import (
	"net"

	"github.com/eddyloop/eddy/internal/socket"
	"github.com/eddyloop/eddy/internal/streamhook"
	"github.com/eddyloop/eddy/ioloop"
)

func init() {
	streamhook.CheckConfig = func(config any) error { return config.(*Config).check() }
	streamhook.NewPrepared = func(l *ioloop.Loop, fd int, peer socket.Address, config any) (any, error) {
		return newPrepared(l, fd, peer, config.(*Config))
	}
	streamhook.NewAccepted = func(l *ioloop.Loop, fd int, peer socket.Address, config any) (any, error) {
		return newSocket(l, fd, peer, config.(*Config))
	}
	streamhook.SetRemoteAddr = func(s any, addr net.Addr) { s.(*Stream).setRemoteAddr(addr) }
	streamhook.ReadClosed = func(s any) bool { return s.(*Stream).readClosed() }
	streamhook.HasConfig = func(s, config any) bool { return s.(*Stream).config == config.(*Config) }
	streamhook.Serve = func(s any) { s.(*Stream).serve() }
	streamhook.Unserve = func(s any) bool { return s.(*Stream).unserve() }
	streamhook.OnTasks = func(config any, t *streamhook.Tasks) { config.(*Config).tasks = t }
	streamhook.CheckFrame = func(config, frame any) error {
		f := frame.(*Frame)
		if err := f.checkRepeating(false); err != nil {
			return err
		}
		return new(readOp).setFrame(f, config.(*Config))
	}
	streamhook.Handling = func(s any) bool { return s.(*Stream).isHandling() }
	streamhook.Relieve = func(b any) { (*relief)(b.(*Budget)).Run() }
	streamhook.WhenRoom = func(b any, tell func()) bool { return b.(*Budget).whenRoom(tell) }
	streamhook.Close = func(s any, reason error) { s.(*Stream).closeFor(reason) }
	streamhook.CloseWhenIdle = func(s any) { s.(*Stream).closeWhenIdle() }
}
