//go:build linux

package kqueuesim

import "syscall"

// Kind is what a descriptor is of.
type Kind uint8

const (
	Other Kind = iota // devices, kernel queues
	Stream
	Datagram
	Listener
	PipeReader
	PipeWriter
	FIFOReader // also one that is open both ways
	FIFOWriter
	Regular
	Null     // /dev/null and the like
	Terminal // /dev/tty
)

// State is what the filters see of a file.
type State struct {
	Kind Kind

	Readable   bool  // there is input; a datagram may be empty
	Input      int64 // bytes; connections of a listener
	InputEnded bool  // there will be no more: shut down, or no writer

	Writable    bool  // there is room, and it is connected
	Room        int64 // bytes
	OutputEnded bool  // nothing can be written: shut down, or no reader

	Err uint32 // pending error of a socket
}

// verdict is what a filter says of a state.
type verdict struct {
	ready, eof bool
	data       int64
	fflags     uint32
}

// read is EVFILT_READ.
func (s *State) read(p *Profile) verdict {
	v := verdict{data: s.Input}
	switch s.Kind {
	case Listener, Regular:
		v.ready = s.Input != 0
	case PipeWriter:
		// There's never anything to read. It fires when the reader goes, if at all.
		gone := s.OutputEnded && !p.DeafWriter
		v = verdict{ready: gone, eof: gone}
	case FIFOWriter:
		gone := s.OutputEnded && !p.DeafWriter && !p.FIFOWritesAsReader
		v = verdict{ready: gone, eof: gone}
	case Null:
		v.ready = true
	case PipeReader, FIFOReader:
		v.eof = s.InputEnded && !(s.Kind == FIFOReader && p.DeafFIFO)
		v.ready = v.eof || s.Readable
	default:
		if v.eof = s.InputEnded; v.eof {
			v.fflags = s.Err
		}
		v.ready = v.eof || s.Readable || s.Err != 0
	}
	return v
}

// write is EVFILT_WRITE.
func (s *State) write(p *Profile) verdict {
	v := verdict{data: s.Room}
	switch s.Kind {
	case Listener:
		return verdict{}
	case FIFOReader, FIFOWriter:
		if p.FIFOWritesAsReader {
			return verdict{ready: true, eof: true}
		}
		if s.Kind == FIFOWriter {
			return s.room(v)
		}
		return verdict{ready: s.InputEnded || s.Writable, eof: s.InputEnded, data: s.Room}
	case PipeReader:
		ended := s.InputEnded && !p.ReaderNotWritable
		return verdict{ready: ended, eof: ended}
	case PipeWriter:
		if p.FullWriterDeaf && s.Room == 0 && !s.Writable {
			return verdict{}
		}
		return s.room(v)
	case Regular, Null:
		v.ready = true
	default:
		if v.eof = s.OutputEnded; v.eof {
			v.fflags = s.Err
		}
		v.ready = v.eof || s.Writable || s.Err != 0
	}
	return v
}

// room is EVFILT_WRITE of what has no error of its own.
func (s *State) room(v verdict) verdict {
	v.eof = s.OutputEnded
	v.ready = v.eof || s.Writable
	return v
}

// attachable is whether a file of this state can have the filter.
func (p *Profile) attachable(s *State, filter int32) error {
	switch {
	case s.Kind == Terminal && p.RefusesTTY,
		s.Kind == Null && !p.NullPolls,
		s.Kind == Regular && filter == p.Write && !p.FileWritable:
		return syscall.EINVAL
	case s.Kind == PipeWriter && filter == p.Write && s.OutputEnded && p.DeadPipe != 0:
		return p.DeadPipe
	}
	return nil
}
