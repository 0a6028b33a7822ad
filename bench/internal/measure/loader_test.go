package measure

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/eddyloop/eddy/bench/internal/field"
	"github.com/eddyloop/eddy/bench/internal/workload"
)

// echo serves on a free port, changing what it echoes, and returns itself as a
// process.
func echo(t *testing.T, change func(p []byte)) *field.Process {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				for buf := make([]byte, 64<<10); ; {
					n, err := c.Read(buf)
					if err != nil {
						return
					}
					change(buf[:n])
					if _, err := c.Write(buf[:n]); err != nil {
						return
					}
				}
			}()
		}
	}()
	return &field.Process{Addr: l.Addr().String(), Pid: os.Getpid()}
}

func TestLoad(t *testing.T) {
	for _, tool := range []string{"gcc", "taskset"} {
		if _, err := exec.LookPath(tool); err != nil || runtime.NumCPU() < 2 {
			t.Skip("no " + tool + ", or one processor only")
		}
	}
	t.Chdir("../..")
	sources, _ := filepath.Glob("load/*")
	for _, name := range sources {
		_, _ = os.Stat(name) // so that a cached result does not outlive a change
	}
	if _, err := field.BuildLoad(); err != nil {
		t.Fatal(err)
	}
	for name, flags := range map[string]string{
		"closed loop": "-c 10 -s 100 -d 3",
		"open loop":   "-c 10 -s 100 -r 3000",
		"churn":       "-m churn -c 3",
		"dribble":     "-m dribble -c 1 -s 1000 -r 5000",
		"large":       "-c 2 -s 300000",
		"few active":  "-c 200 -A 3",
		"a delimiter": "-c 3 -D that_is_all",
	} {
		t.Run(name, func(t *testing.T) {
			l, err := connect(echo(t, func([]byte) {}), workload.Workload{Load: strings.Fields(flags)})
			if err != nil {
				t.Fatal(err)
			}
			defer l.stop()
			for range 3 { // between which everything has come back
				for seconds := 0.05; ; seconds *= 2 { // until it is enough for this machine
					out, err := l.slice(0.01, seconds)
					if err == nil && out.ServerCPU > 0 && out.Seconds >= seconds && len(out.Latency) > 0 {
						break
					}
					if seconds > 3 || err != nil && !strings.Contains(err.Error(), "no message came back") {
						t.Fatalf("%+v, %v", out, err)
					}
				}
			}
		})
	}
	t.Run("wrong byte", func(t *testing.T) {
		seen := 0
		l, err := connect(echo(t, func(p []byte) {
			if seen += len(p); seen > 100_000 {
				p[len(p)/2] ^= 1
			}
		}), workload.Workload{Load: []string{"-c", "1"}})
		if err != nil {
			t.Fatal(err)
		}
		defer l.stop()
		for range 100 {
			if _, err = l.slice(0, 0.05); err != nil {
				break
			}
		}
		if err == nil || !strings.Contains(err.Error(), "wrong echo") {
			t.Errorf("the error is %v", err)
		}
	})
}
