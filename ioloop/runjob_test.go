//go:build unix

package ioloop_test

import (
	"runtime"
	"testing"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/poller"
	"github.com/stretchr/testify/require"
)

// A job runs next whatever kind of callback begins it.
func TestRunJobOfEveryCallback(t *testing.T) {
	for name, begin := range map[string]func(t *testing.T, l *ioloop.Loop, callback func()){
		"post":  func(t *testing.T, l *ioloop.Loop, callback func()) { require.NoError(t, l.Post(callback)) },
		"timer": func(_ *testing.T, l *ioloop.Loop, callback func()) { l.AfterFunc(0, callback) },
		"end of a turn": func(t *testing.T, l *ioloop.Loop, callback func()) {
			require.NoError(t, l.Post(func() { require.True(t, l.Kit().AtTurnEnd(runnerFunc(callback))) }))
		},
		"event": func(t *testing.T, l *ioloop.Loop, callback func()) {
			r, w := pipe(t)
			handle(t, l, r, poller.Readable, &listener{then: func() {
				drain(r)
				callback()
			}})
			write(t, w, "x")
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLoop(t, ioloop.Config{})
			var log []string
			note := func(what string) func() { return func() { log = append(log, what) } }
			for range 2 {
				begin(t, l, func() {
					note("callback")()
					runJob(l, func(*ioloop.Task) { note("work")() }, note("rest"))
				})
			}
			for range 8 { // turns, which may be of one piece of work
				_, err := l.RunOnce()
				require.NoError(t, err)
			}
			require.Equal(t, []string{"callback", "work", "rest", "callback", "work", "rest"}, log)
		})
	}
}

// A job that exits takes its coroutine along, and no other's.
func TestJobAfterOneThatExits(t *testing.T) {
	l := newLoop(t, ioloop.Config{Logger: quiet})
	job := func(work func(*ioloop.Task)) {
		require.NoError(t, l.Post(func() {
			runJob(l, work, func() {})
		}))
		for range 4 {
			_, err := l.RunOnce()
			require.NoError(t, err)
		}
	}
	var o op
	waited := false
	job(func(*ioloop.Task) { runtime.Goexit() })
	job(func(tk *ioloop.Task) {
		require.NoError(t, o.wait(tk))
		waited = true
	})
	require.EqualValues(t, 1, l.Stats().Tasks)
	require.False(t, waited)
	o.complete()
	job(func(*ioloop.Task) {})
	require.True(t, waited)
	require.Zero(t, l.Stats().Tasks)
}
