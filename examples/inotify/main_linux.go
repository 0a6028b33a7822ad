// Command inotify prints what happens in folders, and once in a while how much that was. It
// shows descriptors that the library knows nothing of on a loop, here inotify(7) and
// timerfd_create(2): Loop.Handle calls a function whenever one is readable.
//
//	go run ./inotify /tmp
package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/poller"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	log.Print(run(ctx, os.Stdout, 10*time.Second, os.Args[1:]))
}

// run watches until ctx is done.
func run(ctx context.Context, out io.Writer, period time.Duration, folders []string) error {
	loop, err := ioloop.New(ioloop.Config{})
	if err != nil {
		return err
	}
	defer loop.Close()
	w := &watcher{out: out, folders: make(map[int32]string)}
	closeEvents, err := w.watch(loop, folders)
	if err != nil {
		return err
	}
	defer closeEvents()
	closeTimer, err := w.reportEvery(loop, period)
	if err != nil {
		return err
	}
	defer closeTimer()
	return loop.Run(ctx)
}

type watcher struct {
	out     io.Writer
	folders map[int32]string // by watch descriptor
	seen    int
}

// watch has the loop tell what happens in folders.
func (w *watcher) watch(loop *ioloop.Loop, folders []string) (closeFD func(), err error) {
	fd, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
	if err != nil {
		return nil, err
	}
	closeFD = func() { unix.Close(fd) }
	for _, folder := range folders {
		id, err := unix.InotifyAddWatch(fd, folder, unix.IN_CREATE|unix.IN_DELETE|unix.IN_CLOSE_WRITE|unix.IN_MOVE)
		if err != nil {
			closeFD()
			return nil, fmt.Errorf("%s: %w", folder, err)
		}
		w.folders[int32(id)] = folder
	}
	return closeFD, handle(loop, fd, w.events)
}

// reportEvery has a timer of the kernel's tell the number of events.
func (w *watcher) reportEvery(loop *ioloop.Loop, period time.Duration) (closeFD func(), err error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return nil, err
	}
	closeFD = func() { unix.Close(fd) }
	each := unix.NsecToTimespec(period.Nanoseconds())
	if err := unix.TimerfdSettime(fd, 0, &unix.ItimerSpec{Interval: each, Value: each}, nil); err != nil {
		closeFD()
		return nil, err
	}
	return closeFD, handle(loop, fd, func([]byte) { fmt.Fprintf(w.out, "%d events\n", w.seen) })
}

// handle calls fn with what can be read from fd. The loop calls again while there is more.
func handle(loop *ioloop.Loop, fd int, fn func([]byte)) error {
	buf := make([]byte, 64<<10)
	_, err := loop.Handle(fd, poller.Readable, ioloop.HandlerFunc(func(poller.Interest, poller.Hint) {
		if n, _ := unix.Read(fd, buf); n > 0 {
			fn(buf[:n])
		}
	}))
	return err
}

// events takes events apart, as inotify(7) describes them.
func (w *watcher) events(b []byte) {
	for len(b) >= unix.SizeofInotifyEvent {
		id, mask := int32(binary.NativeEndian.Uint32(b)), binary.NativeEndian.Uint32(b[4:])
		end := unix.SizeofInotifyEvent + int(binary.NativeEndian.Uint32(b[12:]))
		name := strings.TrimRight(string(b[unix.SizeofInotifyEvent:end]), "\x00")
		fmt.Fprintln(w.out, what(mask), filepath.Join(w.folders[id], name))
		w.seen++
		b = b[end:]
	}
}

func what(mask uint32) string {
	switch {
	case mask&unix.IN_CREATE != 0:
		return "created"
	case mask&unix.IN_DELETE != 0:
		return "deleted"
	case mask&unix.IN_CLOSE_WRITE != 0:
		return "written"
	case mask&unix.IN_MOVED_FROM != 0:
		return "moved from"
	case mask&unix.IN_MOVED_TO != 0:
		return "moved to"
	}
	return "other" // IN_IGNORED, IN_Q_OVERFLOW
}
