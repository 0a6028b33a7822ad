package iostreamtest

// failures are what calls of a transport fail with that otherwise cannot fail on a
// Wire.
type failures struct{ attach, arm, probe error }

// FailAttach has the stream's registration with the loop fail with err, as when the
// kernel has no room for another descriptor. nil is success.
func (w *Wire) FailAttach(err error) { w.play(func() { w.fails.attach = err }) }

// FailArm has changes of what the stream listens for fail with err. nil is success.
func (w *Wire) FailArm(err error) { w.play(func() { w.fails.arm = err }) }

// FailProbe has Probe, which looks for the end of the input, fail with err. nil is
// success.
func (w *Wire) FailProbe(err error) { w.play(func() { w.fails.probe = err }) }
