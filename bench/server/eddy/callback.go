package main

import (
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/tcp"
)

func callback(srv *tcp.Server) {
	srv.Callback = ofMode(map[string]func(*iostream.Stream){
		"raw":       func(s *iostream.Stream) { _ = s.Handle(iostream.Some(0), write(s)) },
		"line":      func(s *iostream.Stream) { _ = s.Handle(iostream.Until("\n"), write(s)) },
		"broadcast": broadcast,
		"wait":      answerByTimer,
	})
}

// write is the whole of each callback: the stream holds reading back while too
// much waits to be sent.
func write(s *iostream.Stream) func([]byte, error) bool {
	return func(p []byte, err error) bool {
		if err == nil {
			_, err = s.Write(p)
		}
		return err == nil
	}
}

// everybody is touched on the loop only.
var everybody = map[*iostream.Stream]bool{}

// broadcast is written with callbacks only: it is the same writes in each style.
func broadcast(s *iostream.Stream) {
	everybody[s] = true
	_ = s.WaitClosedFunc(func(error) { delete(everybody, s) })
	_, _ = s.Write([]byte("\n"))
	_ = s.Handle(iostream.Until("\n"), func(line []byte, err error) bool {
		if err != nil {
			return false
		}
		for s := range everybody {
			_, _ = s.Write(line)
		}
		return true
	})
}
