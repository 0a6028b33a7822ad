// Package wine tells tests what cannot be shown under wine, which runs the Windows suites
// on Linux.
package wine

import "testing"

// SkipResets skips a test that is about a connection that the peer resets. Wine takes the
// error from its kernel's socket when it polls, and recv then says that the stream has
// ended; on Windows recv says WSAECONNRESET.
func SkipResets(t testing.TB) {
	t.Helper()
	if Here() {
		t.Skip("wine tells of a reset as of an end")
	}
}

// SkipPrograms skips a test that runs programs of the system, which wine would look for
// among those of Windows.
func SkipPrograms(t testing.TB) {
	t.Helper()
	if Here() {
		t.Skip("wine does not run the host's programs")
	}
}
