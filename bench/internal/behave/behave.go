// Package behave puts servers into trouble and tells what they do.
package behave

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/eddyloop/eddy/bench/internal/field"
	"github.com/eddyloop/eddy/bench/internal/peer"
)

// Probe is one kind of trouble.
type Probe struct {
	Name, What string
	Good       string // what is in the outcome of whoever does well
	// Run returns the outcome for a subject; an error says that it could not be
	// tried, a field.SkipError that the subject has no means for it.
	Run func(Subject) (string, error)
	// Echo says that the subjects are the echo servers, in their first variant.
	Echo bool
}

// Subject is what is put into trouble: a program of the table, or an echo
// server.
type Subject struct {
	Name    string
	Command []string
}

// Programs are the subjects that have a program of their own in behaviour/.
func Programs(servers []field.Server) []Subject {
	var list []Subject
	for _, s := range Echoes(servers) {
		switch s.Name {
		case field.LimitName: // not a library
		case "tornado", "uvloop":
			list = append(list, Subject{s.Name, []string{"/usr/bin/python3", filepath.Join("behaviour", s.Name, "main.py")}})
		default:
			list = append(list, Subject{s.Name, []string{filepath.Join("bin", "behaviour", s.Name)}})
		}
	}
	return list
}

// Echoes are the echo servers as subjects, the first of each peer.
func Echoes(servers []field.Server) []Subject {
	var list []Subject
	for _, s := range servers {
		name, _, _ := strings.Cut(s.Name, "-")
		if !slices.ContainsFunc(list, func(other Subject) bool { return other.Name == name }) {
			list = append(list, Subject{name, s.Command()})
		}
	}
	return list
}

// Probes is the table.
var Probes = []Probe{
	{Name: "half-close", What: "the client finishes writing; the reply comes 100 ms later", Good: "delivered", Run: halfClose},
	{Name: "big-close", What: "32 MiB are written, then closed; the client reads 300 ms later", Good: "all", Run: bigClose},
	{Name: "writev", What: "1,100 slices of 3 bytes in one vectored write", Good: "all", Run: writev},
	{Name: "dial", What: "connecting to a port that was just closed", Good: "refused", Run: dial},
	{Name: "emfile", What: "24 descriptors, 50 clients; then 40 leave", Good: "old ones served, new ones too", Run: emfile, Echo: true},
	{Name: "slow-reader", What: "the client sends up to 200 MiB and reads nothing", Good: "stops", Run: slowReader, Echo: true},
	{Name: "nettest", What: "x/net/nettest.TestConn, 11 subtests of at most 8 s", Good: "11 pass", Run: netTest},
}

// patience is how long anything may take.
const patience = 5 * time.Second

// begin starts the subject in a mode and sends it the byte that sets it off.
func begin(s Subject, mode string) (*field.Process, *net.TCPConn, error) {
	p, err := field.Start(s.Command, "-mode", mode)
	if err != nil {
		return nil, nil, err
	}
	c, err := net.Dial("tcp", p.Addr)
	if err != nil {
		p.Stop()
		return nil, nil, err
	}
	if _, err = c.Write([]byte("x")); err == nil {
		err = c.SetDeadline(time.Now().Add(patience))
	}
	return p, c.(*net.TCPConn), err
}

func halfClose(s Subject) (string, error) {
	p, c, err := begin(s, "late")
	if err != nil {
		return "", err
	}
	defer p.Stop()
	defer c.Close()
	if err := c.CloseWrite(); err != nil {
		return "", err
	}
	got, err := io.ReadAll(c)
	if string(got) == string(peer.LateReply) {
		return "delivered", nil
	}
	return "reply lost, " + end(err), nil
}

func bigClose(s Subject) (string, error) {
	p, c, err := begin(s, "big")
	if err != nil {
		return "", err
	}
	defer p.Stop()
	defer c.Close()
	time.Sleep(300 * time.Millisecond)
	n, err := io.Copy(io.Discard, c)
	if n == int64(len(peer.Big)) {
		return "all 32 MiB, " + end(err), nil
	}
	return fmt.Sprintf("%.1f MiB of 32, %s", float64(n)/(1<<20), end(err)), nil
}

func writev(s Subject) (string, error) {
	p, c, err := begin(s, "writev")
	if err != nil {
		return "", err
	}
	defer p.Stop()
	defer c.Close()
	want := ""
	for _, slice := range peer.Slices {
		want += string(slice)
	}
	got, err := io.ReadAll(c)
	if string(got) == want {
		return "all 3,300 bytes", nil
	}
	return fmt.Sprintf("%d of 3,300 bytes, %s", len(got), end(err)), nil
}

func end(err error) string {
	switch {
	case err == nil:
		return "end of stream"
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "no end within 5 s"
	case strings.Contains(err.Error(), "reset"):
		return "reset"
	}
	return err.Error()
}

func dial(s Subject) (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	addr := l.Addr().String()
	if err := l.Close(); err != nil {
		return "", err
	}
	args := append([]string{"--signal=KILL", "5", s.Command[0]}, s.Command[1:]...)
	out, err := exec.Command("timeout", append(args, "-mode", "dial", "-to", addr)...).CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == peer.ExitSkip {
		return "", field.SkipError(strings.TrimSpace(string(out)))
	}
	for line := range strings.Lines(string(out)) {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(line), "outcome "); ok {
			return strings.ReplaceAll(rest, addr, "ADDR"), nil
		}
	}
	return "no outcome within 5 s", nil
}
