package socket_test

import (
	"net"
	"runtime"
	"testing"

	"github.com/eddyloop/eddy/internal/socket"
	"github.com/stretchr/testify/require"
)

// An address comes out as it went in, and short where it is.
func TestAddress(t *testing.T) {
	unnamed := ""
	if runtime.GOOS == "linux" || runtime.GOOS == "android" {
		unnamed = "@" // as package net has it
	}
	for _, c := range []struct {
		in    net.Addr
		out   string
		short bool
	}{
		{&net.TCPAddr{IP: net.IPv4(1, 2, 3, 4), Port: 65535}, "1.2.3.4:65535", true},
		{&net.TCPAddr{IP: net.IP{1, 2, 3, 4}, Port: 1}, "1.2.3.4:1", true},
		{&net.TCPAddr{IP: net.ParseIP("2001:db8::1"), Port: 80}, "[2001:db8::1]:80", false},
		{&net.TCPAddr{IP: net.IPv6unspecified, Port: 80}, "[::]:80", false},
		{&net.TCPAddr{IP: net.ParseIP("fe80::1"), Port: 80, Zone: "4000000000"}, "[fe80::1%4000000000]:80", false},
		{&net.UnixAddr{Net: "unix"}, unnamed, true},
		{&net.UnixAddr{Name: unnamed, Net: "unix"}, unnamed, true},
		{&net.UnixAddr{Name: "/tmp/s", Net: "unix"}, "/tmp/s", false},
		{&net.UnixAddr{Name: "@abstract", Net: "unix"}, "@abstract", false},
	} {
		a := socket.AddressOf(c.in)
		require.Equal(t, c.out, a.Addr().String())
		require.Equal(t, c.in.Network(), a.Addr().Network())
		short, ok := a.Short()
		require.Equal(t, c.short, ok, c.out)
		if ok {
			require.Equal(t, a.Addr(), short.Addr())
		}
	}
	if all, err := net.Interfaces(); err == nil && len(all) > 0 {
		a := socket.AddressOf(&net.TCPAddr{IP: net.ParseIP("fe80::1"), Port: 80, Zone: all[0].Name})
		require.Equal(t, "[fe80::1%"+all[0].Name+"]:80", a.Addr().String())
	}
	for _, none := range []net.Addr{nil, &net.UDPAddr{}, &net.TCPAddr{}} {
		a := socket.AddressOf(none)
		require.Nil(t, a.Addr())
		short, ok := a.Short()
		require.True(t, ok)
		require.Nil(t, short.Addr())
	}
}
