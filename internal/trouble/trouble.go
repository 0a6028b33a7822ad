// Package trouble tests a server under clients that misbehave. It has tests
// only: one for the gate, and, with EDDY_SOAK set, as ci/soak sets it, the same
// at full size for as long as wanted.
package trouble
