package ioloop

// Job is what a task does; see Kit.RunJob. If it is a Failer, Fail is called on
// the task's goroutine when RunTask panics or calls runtime.Goexit, and with
// ErrTaskStopped when the task is unwound because its loop stops.
type Job interface{ RunTask(t *Task) }

type jobFunc func(t *Task)

func (f jobFunc) RunTask(t *Task) { f(t) }

// starting is a task that waits in the queue to begin.
type starting struct {
	loop *Loop
	job  Job
}

func (s *starting) Run() {
	co := s.loop.takeCoroutine()
	co.take(s.job, new(Task))
	co.count()
	if s.loop.stopping {
		co.task.finish(endStopped)
	}
	co.resume()
}
