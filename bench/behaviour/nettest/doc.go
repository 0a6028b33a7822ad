// Package nettest runs golang.org/x/net/nettest.TestConn on the net.Conns of
// those peers that claim to have one that a goroutine can use.
package nettest

// Subtests are those of TestConn.
var Subtests = []string{"BasicIO", "PingPong", "RacyRead", "RacyWrite", "ReadTimeout", "WriteTimeout", "PastTimeout",
	"PresentTimeout", "FutureTimeout", "CloseTimeout", "ConcurrentMethods"}

// Peers are the subjects of the tests.
var Peers = []string{"net", "netpoll", "eddy"}

// Enabled is the environment variable without which the tests skip: that a
// peer fails is an outcome, not an error of this module.
const Enabled = "EDDY_BENCH_NETTEST"
