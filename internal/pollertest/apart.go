//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd || windows

package pollertest

import (
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/eddyloop/eddy/internal/selfexec"
)

// apartName is the variable that names the test which a process is for.
const apartName = "EDDY_TEST_APART"

// Apart runs a test in a process of its own, beside others and with further
// arguments: the suite waits most of its time, but what it says of descriptors
// holds for one at a time in a process.
func Apart(t *testing.T, test func(t *testing.T), args ...string) {
	if os.Getenv(apartName) == t.Name() {
		test(t)
		return
	}
	t.Parallel()
	args = append(args, "-test.run="+apartPattern(t.Name()))
	for _, name := range []string{"test.v", "test.short", "test.timeout"} {
		if f := flag.Lookup(name); f != nil {
			args = append(args, "-"+name+"="+f.Value.String())
		}
	}
	cmd := selfexec.Command(apartName+"="+t.Name(), args...)
	out, err := cmd.CombinedOutput()
	if err != nil || testing.Verbose() {
		t.Logf("%s", out)
	}
	if err != nil {
		t.Error(err)
	}
}

// apartPattern is the test of the given name and, of what is within it, what
// the user asked for.
func apartPattern(name string) string {
	parts := strings.Split(name, "/")
	depth := len(parts)
	for i := range parts {
		parts[i] = "^" + parts[i] + "$"
	}
	if f := flag.Lookup("test.run"); f != nil {
		if asked := strings.Split(f.Value.String(), "/"); len(asked) > depth {
			parts = append(parts, asked[depth:]...)
		}
	}
	return strings.Join(parts, "/")
}

// Main runs a package's tests, with those that run apart many at a time.
func Main(m *testing.M) {
	flag.Parse()
	flag.Set("test.parallel", "8")
	os.Exit(m.Run())
}
