//go:build unix

package main

import (
	"context"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// The admin page is looked at by a browser while clients talk and one of them does not read:
// the numbers must be there, and not be zero.
func TestAdminPageInBrowser(t *testing.T) {
	if testing.Short() {
		t.Skip("a browser takes seconds to start")
	}
	browser := findBrowser(t)
	d := start(t, "-admin", "127.0.0.1:0", "-budget", "64MiB", "-loops", "2")
	admin := d.admin()
	silent := d.dial()
	go func() { _, _ = silent.Write([]byte(strings.Repeat(strings.Repeat("x", 8000)+"that is all!", 10_000))) }()
	load := command("-connect", d.addrs[0], "-check", "-conns", "4", "-duration", "1m")
	require.NoError(t, load.Start())
	defer func() { _ = load.Process.Kill(); _ = load.Wait() }()

	eventually(t, func() bool {
		_, stats := get(t, admin+"/stats")
		return !strings.Contains(stats, `"backlog":0,`) && !strings.Contains(stats, `"messages":0,`)
	})
	var page string
	eventually(t, func() bool { // what a busy loop has is left out of the backlog
		page = look(t, browser, admin+"/")
		zero := zeros(t, page)
		t.Log("not yet there:", zero)
		return strings.Contains(page, "ready") && len(zero) == 0
	})
	bars := regexp.MustCompile(`<i style="width: ?([0-9.e-]+)%;?">`).FindAllStringSubmatch(page, -1)
	require.Len(t, bars, 2, "a bar for each loop")
	require.NoError(t, silent.Close())
	d.stop(syscall.SIGTERM)
}

// zeros returns which numbers of the page are zero.
func zeros(t *testing.T, page string) (ids []string) {
	for _, id := range []string{"connections", "messages", "received", "sent", "use", "longest", "backlog", "budget"} {
		value := regexp.MustCompile(`id="now-` + id + `">([^<]*)<`).FindStringSubmatch(page)
		require.NotNil(t, value, id)
		if !regexp.MustCompile("^[0-9.]*[1-9]").MatchString(value[1]) {
			ids = append(ids, id)
		}
	}
	return ids
}

func findBrowser(t *testing.T) string {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Skip("no chromium is installed")
	return ""
}

// look returns the page as it is after some seconds of the page's time.
func look(t *testing.T, browser, url string) string {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--user-data-dir="+t.TempDir(),
		"--virtual-time-budget=5000", "--dump-dom", url)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // the browser is several processes
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	out, err := cmd.Output()
	require.NoError(t, err)
	return string(out)
}
