package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"expvar"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/eddyloop/eddy/tcp"
)

//go:embed admin.html
var adminPage []byte

// startAdmin serves the admin page on a loop of its own, so that neither it nor the clients
// wait for the other.
func (d *echod) startAdmin() (stop func(), err error) {
	srv := &tcp.Server{Loops: 1, Logger: d.log}
	if _, err := srv.Listen("tcp", d.admin); err != nil {
		return nil, err
	}
	d.publish()
	listener, err := srv.NetListener()
	if err != nil {
		return nil, err
	}
	site := &http.Server{
		Handler:           d.adminHandler(),
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          slog.NewLogLogger(d.log.Handler(), slog.LevelWarn),
	}
	done := make(chan struct{}, 2)
	go func() {
		d.ended("admin loop", srv.Serve(context.Background()), tcp.ErrServerClosed)
		done <- struct{}{}
	}()
	go func() { d.ended("admin page", site.Serve(listener), http.ErrServerClosed); done <- struct{}{} }()
	d.log.Info("admin page", slog.String("url", "http://"+srv.Addrs()[0].String()+"/"))
	return func() {
		_ = site.Close()
		_ = srv.Close()
		<-done
		<-done
	}, nil
}

func (d *echod) ended(what string, err, usual error) {
	if !errors.Is(err, usual) && !errors.Is(err, net.ErrClosed) {
		d.log.Error(what, slog.Any("err", err))
	}
}

func (d *echod) adminHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write(adminPage)
	})
	mux.HandleFunc("GET /stats", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(d.stats())
	})
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if d.draining.Load() {
			http.Error(w, "draining", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		writeMetrics(w, d.stats())
	})
	mux.Handle("GET /debug/vars", expvar.Handler())
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return mux
}
