//go:build unix || windows

package ioloop_test

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/stretchr/testify/require"
)

// lender is a loop whose callbacks leave what they have read to tasks.
type lender struct {
	t *testing.T
	*ioloop.Loop
}

func newLender(t *testing.T) *lender {
	l := &lender{t, newLoop(t, ioloop.Config{Logger: quiet})}
	l.lend(0, func(*ioloop.Task) {}) // from now on tasks run within callbacks
	return l
}

func (l *lender) turns() {
	l.t.Helper()
	for range 4 { // which may be of one piece of work
		_, err := l.RunOnce()
		require.NoError(l.t, err)
	}
}

// lend has a task hold the scratch buffer while it works, with b in its first byte. It
// returns the buffer, and whether it was lent.
func (l *lender) lend(b byte, work func(*ioloop.Task)) (buf []byte, lent bool) {
	l.t.Helper()
	require.NoError(l.t, l.Post(func() {
		buf = l.Kit().Scratch()
		buf[0] = b
		runJob(l.Loop, func(tk *ioloop.Task) {
			lent = l.Kit().LendScratch(tk)
			work(tk)
		}, func() {})
	}))
	l.turns()
	return buf, lent
}

// scratch returns the buffer that the next callback gets.
func (l *lender) scratch() (buf []byte) {
	l.t.Helper()
	require.NoError(l.t, l.Post(func() { buf = l.Kit().Scratch() }))
	l.turns()
	return buf
}

// A task that does not wait costs the loop no other buffer.
func TestScratchOfATask(t *testing.T) {
	l := newLender(t)
	buf, lent := l.lend('x', func(*ioloop.Task) {})
	require.True(t, lent)
	require.Same(t, &buf[0], &l.scratch()[0])
}

// What a task has borrowed stays as it is while it waits, and few tasks that wait may
// keep a buffer.
func TestScratchOfTasksThatWait(t *testing.T) {
	const most = 4
	l := newLender(t)
	var ops [most + 1]op
	bufs := make([][]byte, len(ops))
	ended := 0
	for i := range ops {
		var lent bool
		bufs[i], lent = l.lend(byte(i), func(tk *ioloop.Task) {
			require.NoError(t, ops[i].wait(tk))
			ended++
		})
		require.Equal(t, i < most, lent)
		next := l.scratch()
		for j := range min(i+1, most) {
			require.NotSame(t, &bufs[j][0], &next[0])
			require.EqualValues(t, j, bufs[j][0])
		}
	}
	for _, i := range []int{1, 0, 3, 2, 4} {
		ops[i].complete()
		l.turns()
		buf, lent := l.lend('x', func(*ioloop.Task) {})
		require.True(t, lent, "there is room again")
		require.Same(t, &buf[0], &l.scratch()[0])
	}
	require.Equal(t, len(ops), ended)
}

// What a failed task may have left to somebody nobody else reads into.
func TestScratchOfTasksThatFail(t *testing.T) {
	for name, fail := range map[string]func(){
		"panics": func() { panic("x") },
		"exits":  runtime.Goexit,
	} {
		for _, waits := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/%t", name, waits), func(t *testing.T) {
				l := newLender(t)
				failed := map[*byte]bool{}
				for range 8 { // more than may be kept
					var o op
					buf, lent := l.lend('x', func(tk *ioloop.Task) {
						if waits {
							require.NoError(t, o.wait(tk))
						}
						fail()
					})
					require.True(t, lent)
					failed[&buf[0]] = true
					require.NotContains(t, failed, &l.scratch()[0])
					o.complete()
					l.turns()
					require.NotContains(t, failed, &l.scratch()[0])
				}
			})
		}
	}
}
