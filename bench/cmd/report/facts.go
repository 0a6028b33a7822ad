package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
)

// commandLine returns how this program was called, as one can call it again.
func commandLine() string {
	return strings.Join(append([]string{"go -C bench run ./cmd/report"}, os.Args[1:]...), " ")
}

// facts tells of the machine and of the versions of everything.
func facts() map[string]string {
	f := map[string]string{
		"processors":         fmt.Sprintf("%d × %s", runtime.NumCPU(), after(read("/proc/cpuinfo"), "model name\t: ")),
		"memory":             after(read("/proc/meminfo"), "MemTotal:"),
		"kernel":             output("uname", "-sr"),
		"congestion control": strings.TrimSpace(read("/proc/sys/net/ipv4/tcp_congestion_control")),
		"Go":                 runtime.Version(),
		"gcc":                output("gcc", "-dumpfullversion"),
		"Eddy":               output("git", "describe", "--always", "--dirty", "--tags"),
		"libuv":              output("pkg-config", "--modversion", "libuv"),
		"libevent":           output("pkg-config", "--modversion", "libevent_core"),
		"Python":             output("/usr/bin/python3", "-c", "import sys; print(sys.version.split()[0])"),
		"Tornado":            output("/usr/bin/python3", "-c", "import tornado; print(tornado.version)"),
		"uvloop":             output("/usr/bin/python3", "-c", "import uvloop; print(uvloop.__version__)"),
	}
	for _, module := range []string{"github.com/panjf2000/gnet/v2", "github.com/cloudwego/netpoll",
		"github.com/tidwall/evio", "github.com/xtaci/gaio"} {
		f[module] = output("go", "list", "-m", "-f", "{{.Version}}", module)
	}
	for name, value := range f {
		if value == "" {
			delete(f, name)
		}
	}
	return f
}

func read(name string) string {
	data, _ := os.ReadFile(name)
	return string(data)
}

// after returns the rest of the line that follows key.
func after(text, key string) string {
	_, rest, _ := strings.Cut(text, key)
	line, _, _ := strings.Cut(rest, "\n")
	return strings.TrimSpace(line)
}

// output returns what a command prints, nothing if it fails.
func output(name string, args ...string) string {
	out, err := exec.Command(name, args...).Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}
