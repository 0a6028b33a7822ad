package socket

import "time"

// Options are what a program may want of its sockets. Zero fields leave what
// the system does.
type Options struct {
	KeepAlive   bool          // probe a peer that is silent
	Idle        time.Duration // for so long
	Interval    time.Duration // then so often
	Count       int           // and give up after so many
	UserTimeout time.Duration // give up when sent data is not acknowledged for so long
	ReadBuffer  int           // bytes
	WriteBuffer int           // bytes
}
