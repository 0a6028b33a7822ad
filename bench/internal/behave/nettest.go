package behave

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/eddyloop/eddy/bench/behaviour/nettest"
	"github.com/eddyloop/eddy/bench/internal/field"
)

// netTest runs each subtest in a process of its own: one that hangs would take
// the others along.
func netTest(s Subject) (string, error) {
	if !slices.Contains(nettest.Peers, s.Name) {
		return "", field.SkipError("no net.Conn that a goroutine can use")
	}
	var passed int
	var failed, hung []string
	for _, subtest := range nettest.Subtests {
		cmd := exec.Command("timeout", "--signal=KILL", "8", filepath.Join("bin", "nettest"),
			"-test.v", "-test.run", fmt.Sprintf("^TestConn$/^%s$/^%s$", s.Name, subtest))
		cmd.Env = append(os.Environ(), nettest.Enabled+"=1")
		out, err := cmd.CombinedOutput()
		switch text := string(out); {
		case err == nil && strings.Contains(text, "--- SKIP"):
			_, reason, _ := strings.Cut(text, ": ")
			reason, _, _ = strings.Cut(reason, "\n")
			return "", field.SkipError(reason)
		case err == nil && strings.Contains(text, "--- PASS: TestConn/"+s.Name+"/"+subtest):
			passed++
		case strings.Contains(text, "--- FAIL") || strings.Contains(text, "panic:"):
			failed = append(failed, subtest)
		default:
			hung = append(hung, subtest)
		}
	}
	outcome := fmt.Sprintf("%d pass", passed)
	if len(failed) > 0 {
		outcome += fmt.Sprintf(", %d fail (%s)", len(failed), strings.Join(failed, " "))
	}
	if len(hung) > 0 {
		outcome += fmt.Sprintf(", %d hang (%s)", len(hung), strings.Join(hung, " "))
	}
	return outcome, nil
}
