package tcp

import "github.com/eddyloop/eddy/internal/socket"

// FailAccept has the system call of accepting fail until the returned function is
// called. No server may run then.
func FailAccept(err error) (restore func()) {
	old := acceptOwn
	acceptOwn = func(int) (int, socket.Address, error) { return -1, socket.Address{}, err }
	return func() { acceptOwn = old }
}

// Waiting returns how many connections wait for Accept.
func (l *NetListener) Waiting() int { return l.waiting() }

// MoreThanStreams returns how many connections of a server with one loop, which calls
// it, are more than a stream.
func MoreThanStreams(srv *Server) int { return len(srv.workers[0].conns) }
