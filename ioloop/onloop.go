package ioloop

import (
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"runtime/debug"
	"sync"
	"weak"
)

// ErrOnLoop is returned by a method that would block a loop: it has to wait,
// and was called in a callback, or in a task with a context that is no *Task. A
// method that need not wait succeeds there.
var ErrOnLoop = errors.New("ioloop: this call would block the loop: in a task, pass the task as the context; " +
	"in a callback, use the Func form, Loop.Go or a goroutine")

// MayBlock returns ErrOnLoop if the calling goroutine runs a callback or a task
// of a loop, else nil. It is for methods that block without a Waiter, whose
// Begin checks by itself. On other goroutines it takes some 3 ns. It does not
// recognise a coroutine that a callback has made (iter.Pull); see Kit.OnLoop.
func MayBlock() error {
	if onLoop, _ := whereAmI(); onLoop {
		return ErrOnLoop
	}
	return nil
}

// CurrentTask returns the task that the caller runs in, for methods that wait
// and take no context, such as io.ReaderFrom. In a callback the task is nil and
// onLoop is true: the caller must not wait. On other goroutines it returns nil
// and false. It takes microseconds on a loop's goroutine and 3 ns elsewhere.
func CurrentTask() (t *Task, onLoop bool) {
	onLoop, number := whereAmI()
	if l := loopNumbers.find(number); l != nil && l.current != nil {
		return l.current, true
	}
	return nil, onLoop
}

// A goroutine of a loop is marked with the one bit that belongs to a goroutine and
// that everybody can read and write: whether a fault at an unexpected address is a
// panic (debug.SetPanicOnFault). Goroutines do not inherit it. Other code may have
// set it too, so what stands at the bottom of the stack has to confirm it. There
// a coroutine has its loop's number too, as a row of calls.
//
// What else the bit does is undone when a panic is contained: see fault.

// asLoop calls work on a goroutine that counts as a loop's from now on.
//
//go:noinline
func asLoop(work func()) {
	markGoroutine()
	work()
}

func markGoroutine() { debug.SetPanicOnFault(true) }

// asTaskOf is asLoop for a coroutine that runs tasks of the loop with this number.
func asTaskOf(number uint, work func()) {
	switch {
	case number == 0:
		asLoop(work)
	case number&1 == 0:
		digit0(number>>1, work)
	default:
		digit1(number>>1, work)
	}
}

//go:noinline
func digit0(rest uint, work func()) { asTaskOf(rest, work) }

//go:noinline
func digit1(rest uint, work func()) { asTaskOf(rest, work) }

var asLoopName, digit0Name, digit1Name = functionName(asLoop), functionName(digit0), functionName(digit1)

func functionName(fn any) string {
	return runtime.FuncForPC(reflect.ValueOf(fn).Pointer()).Name()
}

// whereAmI reports whether the calling goroutine is a loop's, and if it is a task's
// coroutine, the loop's number, else 0.
func whereAmI() (onLoop bool, number uint) {
	if !debug.SetPanicOnFault(true) {
		debug.SetPanicOnFault(false)
		return false, 0
	}
	return readStack()
}

// readStack is the slow part of whereAmI.
func readStack() (onLoop bool, number uint) {
	callers := make([]uintptr, 64)
	n := runtime.Callers(1, callers)
	for n == len(callers) {
		callers = make([]uintptr, 4*n)
		n = runtime.Callers(1, callers)
	}
	frames := runtime.CallersFrames(callers[:n])
	for {
		frame, more := frames.Next()
		switch frame.Function {
		case asLoopName:
			onLoop = true
		case digit0Name:
			number <<= 1
		case digit1Name:
			number = number<<1 | 1
		}
		if !more {
			return onLoop, number
		}
	}
}

// loopNumbers gives numbers to the loops that have run tasks.
var loopNumbers loopTable

type loopTable struct {
	mu    sync.Mutex
	loops []weak.Pointer[Loop] // a loop has its index + 1
}

func (t *loopTable) add(l *Loop) uint {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range t.loops {
		if t.loops[i].Value() == nil {
			t.loops[i] = weak.Make(l)
			return uint(i) + 1
		}
	}
	t.loops = append(t.loops, weak.Make(l))
	return uint(len(t.loops))
}

func (t *loopTable) remove(number uint) {
	if number == 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.loops[number-1] = weak.Pointer[Loop]{}
}

func (t *loopTable) find(number uint) *Loop {
	if number == 0 {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.loops[number-1].Value()
}

// fault ends the program if a panic that was contained is a fault at an address that
// no nil pointer has: a wild pointer, or a mapped file that was cut off. On any
// goroutine that is not marked the runtime would have done so.
func fault(value any) {
	err, ok := value.(runtime.Error)
	if _, atAddress := value.(interface{ Addr() uintptr }); !ok || !atAddress {
		return
	}
	stack := debug.Stack()
	go func() { panic(fmt.Sprintf("%v\n\n%s", err, stack)) }() // nothing contains it there
	select {}
}
