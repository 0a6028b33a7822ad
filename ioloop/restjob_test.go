package ioloop_test

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/stretchr/testify/require"
)

// The rest of a callback may begin a job, whatever became of the one before. If that waits,
// what is below it does not go on with the loop, which another runs by then.
func TestRestBeginsAJob(t *testing.T) {
	for name, first := range map[string]func(*ioloop.Task){
		"returns": func(*ioloop.Task) {},
		"panics":  func(*ioloop.Task) { panic("x") },
		"exits":   func(*ioloop.Task) { runtime.Goexit() },
		"waits":   func(tk *ioloop.Task) { _ = tk.Yield() },
	} {
		for _, led := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/%t", name, led), func(t *testing.T) {
				l := newLoop(t, ioloop.Config{Logger: quiet})
				start(t, l)
				if led {
					on(t, l, func() { runJob(l, func(*ioloop.Task) {}, func() {}) })
				}
				var o op
				rests, ended := 0, false
				require.NoError(t, l.Post(func() {
					runJob(l, first, func() {
						runJob(l, func(tk *ioloop.Task) {
							_ = o.wait(tk)
							ended = true
						}, func() { rests++ })
					})
				}))
				turns(t, l)
				require.EqualValues(t, 1, l.Stats().Tasks)
				o.complete()
				turns(t, l)
				var current *ioloop.Task
				on(t, l, func() { current, _ = ioloop.CurrentTask() })
				require.Nil(t, current, "that was a callback")
				require.True(t, ended)
				require.Equal(t, 1, rests)
				require.Zero(t, l.Stats().Tasks)
			})
		}
	}
}
