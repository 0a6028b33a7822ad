package tcp

import (
	"github.com/eddyloop/eddy/internal/streamhook"
	"github.com/eddyloop/eddy/iostream"
)

// messageTasks follows the tasks that run Message, each on its loop.
func (srv *Server) messageTasks() *streamhook.Tasks {
	tasks := &streamhook.Tasks{Waits: srv.messageWaits, End: srv.messageEnds}
	if srv.ProfileLabel != "" {
		tasks.Label = func() func() { return profile(srv.ProfileLabel) }
	}
	return tasks
}

func (srv *Server) messageWaits(stream any) {
	srv.workerOf(stream.(*iostream.Stream).Loop()).handling.Add(1)
}

func (srv *Server) messageEnds(stream any, waited, closed bool, err error) {
	s := stream.(*iostream.Stream)
	w := srv.workerOf(s.Loop())
	if waited {
		w.handling.Add(-1)
	}
	if closed {
		if c := w.conns[s]; c != nil && c.closed { // which it has been told of
			c.running = false
			c.over()
		}
	}
	if err != nil {
		srv.handlerFailed(s, err)
	}
}
