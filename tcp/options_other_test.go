//go:build unix && !linux

package tcp_test

import (
	"testing"

	"github.com/eddyloop/eddy/iostream"
)

func requireTCPTimes(*testing.T, *iostream.Stream) {}

func requireKeepAlive(*testing.T, *iostream.Stream, int, int, int) {}

func kernelRefusesRights() bool { return false }
