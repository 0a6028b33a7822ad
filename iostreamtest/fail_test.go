package iostreamtest_test

import (
	"context"
	"errors"
	"testing"

	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/iostreamtest"
	"github.com/stretchr/testify/require"
)

// TestFailures: a stream is closed for what its transport fails with.
func TestFailures(t *testing.T) {
	reason := errors.New("no room")
	for name, fail := range map[string]func(w *iostreamtest.Wire){
		"attach": func(w *iostreamtest.Wire) { w.FailAttach(reason) },
		"arm":    func(w *iostreamtest.Wire) { w.FailArm(reason) },
		"probe":  func(w *iostreamtest.Wire) { w.FailProbe(reason); w.FIN() },
	} {
		t.Run(name, func(t *testing.T) {
			world := iostreamtest.NewWorld()
			defer world.Close()
			wire := iostreamtest.NewWire(iostreamtest.Options{})
			if name == "attach" {
				fail(wire)
			}
			s, err := iostream.New(world.Loop, wire.Transport(), nil)
			require.NoError(t, err)
			require.NoError(t, world.Settle())
			if name != "attach" {
				fail(wire)
			}
			if name == "arm" {
				require.NoError(t, s.ReadFunc(iostream.Bytes(1), func([]byte, error) {}))
			}
			require.NoError(t, world.Settle())
			require.ErrorIs(t, s.Err(), reason)
			require.NoError(t, s.WaitClosed(context.Background()))
		})
	}
}
