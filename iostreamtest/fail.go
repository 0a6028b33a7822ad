package iostreamtest

// failures are what calls of a transport fail with that otherwise cannot fail on a
// Wire.
type failures struct{ attach, arm, probe error }

// FailAttach has the transport's Attach fail with err, as when the kernel has
// no room for another descriptor. nil ends that.
func (w *Wire) FailAttach(err error) { w.play(func() { w.fails.attach = err }) }

// FailArm has the transport's Arm fail with err: the stream cannot change the
// readiness that it listens for. nil ends that.
func (w *Wire) FailArm(err error) { w.play(func() { w.fails.arm = err }) }

// FailProbe has the transport's Probe, which looks for the end of the input,
// fail with err. nil ends that.
func (w *Wire) FailProbe(err error) { w.play(func() { w.fails.probe = err }) }
