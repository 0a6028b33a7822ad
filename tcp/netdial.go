package tcp

import (
	"context"
	"fmt"
	"net"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
)

// DialContext is Dial in the form that http.Transport, redis, pgx, grpc and
// others take. The connection is an *iostream.Conn on Loop, or on a loop of
// Group. With neither, DialContext returns ErrInvalid.
//
//	client := &http.Transport{DialContext: (&tcp.Dialer{Group: group}).DialContext}
//
// DialContext waits with ctx as Dial does. The connection is for goroutines
// only: methods of a net.Conn have no context and cannot suspend a task.
func (d *Dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	l := d.Loop
	if l == nil && d.Group != nil {
		l = d.Group.Next()
	}
	if l == nil {
		return nil, dialError(network, nil, fmt.Errorf("%w: DialContext needs Dialer.Loop or Dialer.Group", ErrInvalid))
	}
	s, err := d.Dial(ctx, l, network, address)
	if err != nil {
		return nil, err
	}
	return s.NetConn(), nil
}

// DialFunc is Dial with a callback: fn is called once, on l, with what Dial
// would return. Timeout limits how long that takes. DialFunc returns an error,
// and fn is not called, only if l or fn is nil (ErrInvalid) or l is closed
// (ioloop.ErrClosed).
func (d *Dialer) DialFunc(l *ioloop.Loop, network, address string, fn func(*iostream.Stream, error)) error {
	if l == nil || fn == nil {
		return dialError(network, nil, ErrInvalid)
	}
	err := l.Go(func(t *ioloop.Task) { fn(d.Dial(t, l, network, address)) })
	if err != nil {
		return dialError(network, nil, err)
	}
	return nil
}

// DialFunc is Dialer.DialFunc with a zero Dialer.
func DialFunc(l *ioloop.Loop, network, address string, fn func(*iostream.Stream, error)) error {
	return new(Dialer).DialFunc(l, network, address, fn)
}
