//go:build unix

package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

// envReady names the descriptor that a new echod closes when it serves.
const envReady = "ECHOD_READY_FD"

// readyTime is how long a new process may take until it serves.
const readyTime = 30 * time.Second

// watchForHandover has SIGHUP and SIGUSR2 start the program anew (it may be another version by
// now) and hand the listening sockets to it. The returned channel is closed when the new
// process serves; if it does not come to that, this one goes on.
func (d *echod) watchForHandover() (done <-chan struct{}, stop func()) {
	signals, handedOver := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGUSR2)
	go func() {
		for range signals {
			pid, err := d.handOver()
			if err == nil {
				d.log.Info("handed over", slog.Int("pid", pid))
				close(handedOver)
				return
			}
			d.log.Error("cannot hand over", slog.Any("err", err))
		}
	}()
	return handedOver, func() {
		signal.Stop(signals)
		close(signals)
	}
}

// handOver starts a new process and returns when it serves.
func (d *echod) handOver() (pid int, err error) {
	executable, err := os.Executable()
	if err != nil {
		return 0, err
	}
	files, env, err := d.server.Files()
	if err != nil {
		return 0, err
	}
	waiting, telling, err := os.Pipe()
	if err != nil {
		closeFiles(files)
		return 0, err
	}
	defer waiting.Close()
	cmd := exec.Command(executable, os.Args[1:]...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.ExtraFiles = append(files, telling)
	cmd.Env = append(append(os.Environ(), env...), envReady+"="+strconv.Itoa(3+len(files)))
	err = cmd.Start()
	closeFiles(cmd.ExtraFiles)
	if err != nil {
		return 0, err
	}
	go cmd.Wait() // it outlives this process, unless it fails
	_ = waiting.SetReadDeadline(time.Now().Add(readyTime))
	if word, err := io.ReadAll(waiting); err != nil || string(word) != "ready" {
		_ = cmd.Process.Kill()
		return 0, fmt.Errorf("the new process does not serve: %w", errors.Join(err, io.ErrUnexpectedEOF))
	}
	return cmd.Process.Pid, nil
}

func closeFiles(files []*os.File) {
	for _, f := range files {
		_ = f.Close()
	}
}

// ready tells whoever has started the process that it serves: an echod that hands over,
// and systemd (sd_notify(3)).
func ready() error {
	var errs []error
	if fd, err := strconv.Atoi(os.Getenv(envReady)); err == nil {
		_ = os.Unsetenv(envReady)
		telling := os.NewFile(uintptr(fd), envReady)
		_, err := telling.WriteString("ready")
		errs = append(errs, err, telling.Close())
	}
	if path := os.Getenv("NOTIFY_SOCKET"); path != "" {
		errs = append(errs, notify(path))
	}
	return errors.Join(errs...)
}

func notify(path string) error {
	conn, err := net.Dial("unixgram", path)
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = fmt.Fprintf(conn, "READY=1\nMAINPID=%d\n", os.Getpid())
	return err
}
