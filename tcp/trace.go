package tcp

import (
	"context"
	"net"
	"net/http/httptrace"
)

// resolverContext returns ctx for looking names up: of an httptrace.ClientTrace it tells
// DNSStart and DNSDone, and not the resolver's own connects, as in package net.
func resolverContext(ctx context.Context) context.Context {
	trace := httptrace.ContextClientTrace(ctx)
	if trace == nil {
		return ctx
	}
	return httptrace.WithClientTrace(untraced{ctx}, &httptrace.ClientTrace{
		DNSStart: func(info httptrace.DNSStartInfo) {
			if trace.DNSStart != nil {
				trace.DNSStart(info)
			}
		},
		DNSDone: trace.DNSDone,
	})
}

// untraced is a context without its ClientTrace, with which a new one would be composed.
type untraced struct{ context.Context }

func (u untraced) Value(key any) any {
	v := u.Context.Value(key)
	if _, ok := v.(*httptrace.ClientTrace); ok {
		return nil
	}
	return v
}

// traceConnects returns connect, which tells the ClientTrace of ctx, if there is one, of
// each attempt: on the loop, as that is where attempts begin and end.
// An attempt that is given up is done with context.Canceled.
func traceConnects(ctx context.Context, network string, connect connectFunc) connectFunc {
	trace := httptrace.ContextClientTrace(ctx)
	if trace == nil {
		return connect
	}
	if network != "unix" {
		network = "tcp"
	}
	return func(addr net.Addr, ended func(int, error)) (cancel func()) {
		if trace.ConnectStart != nil {
			trace.ConnectStart(network, addr.String())
		}
		done := func(err error) {
			if trace.ConnectDone != nil {
				trace.ConnectDone(network, addr.String(), err)
			}
		}
		giveUp := connect(addr, func(fd int, err error) {
			done(err)
			ended(fd, err)
		})
		return func() {
			giveUp()
			done(context.Canceled)
		}
	}
}
