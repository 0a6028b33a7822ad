package prom_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/prom"
	"github.com/eddyloop/eddy/tcp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
)

func TestCollector(t *testing.T) {
	group, err := ioloop.NewGroup(2, ioloop.Config{})
	require.NoError(t, err)
	defer group.Close()
	budget, err := iostream.NewBudget(64 << 20)
	require.NoError(t, err)
	srv := &tcp.Server{
		Group:  group,
		Stream: iostream.Config{Budget: budget},
		Frame:  iostream.Until("\n"),
		Message: func(_ *ioloop.Task, s *iostream.Stream, msg []byte) error {
			_, err := s.Write(msg)
			return err
		},
	}
	addr, err := srv.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	go group.Run(context.Background())
	go srv.Serve(context.Background())
	defer srv.Close()
	conn, err := net.Dial("tcp", addr.String())
	require.NoError(t, err)
	defer conn.Close()
	_, err = io.WriteString(conn, "hello\n")
	require.NoError(t, err)
	_, err = io.ReadFull(conn, make([]byte, 6))
	require.NoError(t, err)
	_, err = io.WriteString(conn, "half")
	require.NoError(t, err)

	registry := prometheus.NewPedanticRegistry()
	require.NoError(t, registry.Register(prom.NewCollector(prom.Sources{
		Servers: map[string]*tcp.Server{"echo": srv},
		Groups:  map[string]*ioloop.Group{"main": group},
		Budgets: map[string]*iostream.Budget{"all": budget},
	})))
	text := ""
	require.Eventually(t, func() bool {
		text = scrape(t, registry)
		return strings.Contains(text, `eddy_streams_buffered_bytes{group="main"} 4`)
	}, time.Minute, 10*time.Millisecond)
	for _, line := range []string{
		`eddy_server_connections{server="echo"} 1`, `eddy_server_accepted_total{server="echo"} 1`,
		`eddy_streams{group="main"} 1`, `eddy_streams_backlog_bytes{group="main"} 0`,
		`eddy_loop_turns_total{group="main",loop="1"} `, `eddy_budget_used_bytes{budget="all"} `,
	} {
		require.Contains(t, text, line)
	}
	problems, err := testutil.GatherAndLint(registry)
	require.NoError(t, err)
	require.Empty(t, problems)
	checkWithPromtool(t, text)
	checkDashboard(t, text)
}

// A loop that does not run holds no scrape up.
func TestScrapeOfALoopThatDoesNotRun(t *testing.T) {
	group, err := ioloop.NewGroup(1, ioloop.Config{})
	require.NoError(t, err)
	defer group.Close()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(prom.NewCollector(prom.Sources{Groups: map[string]*ioloop.Group{"still": group}}))
	text := scrape(t, registry)
	require.Contains(t, text, `eddy_loop_turns_total{group="still",loop="0"} 0`)
	require.NotContains(t, text, "eddy_streams")
}

func scrape(t *testing.T, registry *prometheus.Registry) string {
	recorder := httptest.NewRecorder()
	promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	require.Equal(t, http.StatusOK, recorder.Code)
	return recorder.Body.String()
}

func checkWithPromtool(t *testing.T, text string) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Log("promtool is not installed")
		return
	}
	cmd := exec.Command(promtool, "check", "metrics")
	cmd.Stdin = strings.NewReader(text)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
}

// checkDashboard has every metric that the dashboard shows be one that is told.
func checkDashboard(t *testing.T, text string) {
	dashboard, err := os.ReadFile("dashboard.json")
	require.NoError(t, err)
	names := regexp.MustCompile(`eddy_[a-z_]+`).FindAllString(string(dashboard), -1)
	require.NotEmpty(t, names)
	for _, name := range names {
		require.Contains(t, text, "# TYPE "+name+" ")
	}
}
