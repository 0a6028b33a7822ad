package poller

import (
	"syscall"
	"testing"
	"time"

	"github.com/eddyloop/eddy/internal/kqueuesim"
	"github.com/stretchr/testify/require"
)

// eachSystem runs a test of the backend on the scripted descriptors of every
// system.
func eachSystem(t *testing.T, test func(t *testing.T, s *kqueuesim.Script, k *emulatedQueue, p *front)) {
	for _, profile := range kqueuesim.Profiles {
		t.Run(profile.Name, func(t *testing.T) {
			s := kqueuesim.NewScript()
			k := &emulatedQueue{Queue: s.NewQueue(profile)}
			k.blind = func(int) bool { return false }
			k.look = func(fd int) (fileKind, error) {
				kind, err := s.Kind(fd)
				switch kind {
				case kqueuesim.PipeReader:
					return kindPipe, err
				case kqueuesim.PipeWriter:
					return kindWriter, err
				case kqueuesim.Regular:
					return kindAlways, err
				}
				return kindOther, err
			}
			var w waker = &userWaker{k}
			if profile.NoUser {
				w = &scriptWaker{s}
				s.Open(w.fd(), kqueuesim.State{Kind: kqueuesim.PipeReader})
			}
			p, err := newKqueue(k, w)
			require.NoError(t, err)
			defer p.Close()
			test(t, s, k, p)
		})
	}
}

// scriptWaker is a pipe of the script.
type scriptWaker struct{ *kqueuesim.Script }

func (w *scriptWaker) fd() int          { return 900 }
func (w *scriptWaker) wake() error      { w.Input(900, 1); return nil }
func (w *scriptWaker) drain()           { w.Drain(900) }
func (w *scriptWaker) owns(fd int) bool { return fd == 900 }
func (w *scriptWaker) close()           {}

var connected = kqueuesim.State{Kind: kqueuesim.Stream, Writable: true, Room: 4096}

// The end of a stream is no error, and what stands before it is still to come.
func TestSystemsEndWithDataLeft(t *testing.T) {
	eachSystem(t, func(t *testing.T, s *kqueuesim.Script, _ *emulatedQueue, p *front) {
		s.Open(sock, connected)
		require.NoError(t, p.Add(sock, 1, Readable|PeerClosed, Level))
		s.Input(sock, 100)
		s.EndInput(sock)
		require.Equal(t, []Event{{1, Readable | PeerClosed, 0}}, harvest(t, p))
		require.Equal(t, []Event{{1, Readable, 0}}, harvest(t, p))
		s.Break(sock, syscall.ECONNRESET)
		require.Equal(t, []Event{{1, Readable | PeerClosed, Failed | Hangup}}, harvest(t, p))
	})
}

func TestSystemsRefusedConnection(t *testing.T) {
	eachSystem(t, func(t *testing.T, s *kqueuesim.Script, _ *emulatedQueue, p *front) {
		s.Open(sock, kqueuesim.State{Kind: kqueuesim.Stream})
		require.NoError(t, p.Add(sock, 1, Writable, OneShot))
		require.Empty(t, harvest(t, p))
		s.Break(sock, syscall.ECONNREFUSED)
		require.Equal(t, []Event{{1, Writable, Failed | Hangup}}, harvest(t, p))
		require.Empty(t, harvest(t, p))
		require.NoError(t, p.Remove(sock), "its filter is gone already")
	})
}

// An error alone is no end of the stream, and makes ready what is wanted.
func TestSystemsDatagramError(t *testing.T) {
	eachSystem(t, func(t *testing.T, s *kqueuesim.Script, _ *emulatedQueue, p *front) {
		s.Open(sock, kqueuesim.State{Kind: kqueuesim.Datagram, Err: uint32(syscall.ECONNREFUSED)})
		require.NoError(t, p.Add(sock, 1, Readable|PeerClosed, Level))
		require.Equal(t, []Event{{1, Readable, 0}}, harvest(t, p))
	})
}

func TestSystemsDeadPipe(t *testing.T) {
	eachSystem(t, func(t *testing.T, s *kqueuesim.Script, _ *emulatedQueue, p *front) {
		for _, mode := range []Mode{Level, Edge, OneShot} {
			s.Open(pipe, kqueuesim.State{Kind: kqueuesim.PipeWriter, OutputEnded: true})
			require.NoError(t, p.Add(pipe, 1, Writable, mode))
			require.Equal(t, Writable, harvest(t, p)[0].Ready)
			if mode == Level {
				require.Len(t, harvest(t, p), 1)
			} else {
				require.Empty(t, harvest(t, p))
			}
			require.NoError(t, p.Remove(pipe))
			s.Close(pipe)

			s.Open(pipe, kqueuesim.State{Kind: kqueuesim.PipeWriter})
			require.NoError(t, p.Add(pipe, 2, Writable, mode))
			require.Empty(t, harvest(t, p))
			s.EndOutput(pipe)
			require.Equal(t, Writable, harvest(t, p)[0].Ready)
			require.NoError(t, p.Remove(pipe))
			s.Close(pipe)
		}
	})
}

// close(2) takes the filters along, a duplicate or not; what Remove finds then
// is no error, and a new owner of the number starts anew.
func TestSystemsCloseWithoutRemove(t *testing.T) {
	eachSystem(t, func(t *testing.T, s *kqueuesim.Script, _ *emulatedQueue, p *front) {
		s.Open(sock, connected)
		s.Dup(sock, file)
		require.NoError(t, p.Add(sock, 1, Readable|Writable, Edge))
		s.Input(sock, 1)
		s.Close(sock)
		s.Input(file, 1)
		require.Empty(t, harvest(t, p))
		s.Open(sock, connected)
		s.Input(sock, 1)
		require.Empty(t, harvest(t, p))
		require.NoError(t, p.Modify(sock, 2, Readable|Writable, Edge))
		require.Equal(t, []Event{{2, Readable | Writable, 0}}, harvest(t, p))
		s.Close(sock)
		require.NoError(t, p.Remove(sock))
		s.Open(sock, connected)
		require.NoError(t, p.Add(sock, 3, Readable, Level))
		require.Empty(t, harvest(t, p))
	})
}

// An event that was under way when its descriptor was removed is of nobody
// who has the number next, and doesn't use up what that one armed.
func TestSystemsNumberReusedDuringWait(t *testing.T) {
	eachSystem(t, func(t *testing.T, s *kqueuesim.Script, k *emulatedQueue, p *front) {
		for _, mode := range []Mode{Level, Edge, OneShot} {
			s.Open(sock, connected)
			require.NoError(t, p.Add(sock, 1, Readable, mode))
			s.Input(sock, 1)
			k.Found = func([]kqueuesim.Kevent) {
				k.Found = nil
				require.NoError(t, p.Remove(sock))
				s.Close(sock)
				s.Open(sock, connected)
				require.NoError(t, p.Add(sock, 2, Readable, mode))
			}
			require.Empty(t, harvest(t, p))
			s.Input(sock, 1)
			require.Equal(t, []Event{{2, Readable, 0}}, harvest(t, p))
			require.NoError(t, p.Remove(sock))
			s.Close(sock)
		}
	})
}

func TestSystemsModeChanges(t *testing.T) {
	eachSystem(t, func(t *testing.T, s *kqueuesim.Script, _ *emulatedQueue, p *front) {
		s.Open(sock, connected)
		s.Input(sock, 1)
		require.NoError(t, p.Add(sock, 1, Readable, Level))
		for token, mode := range []Mode{Edge, Level, OneShot, Edge, OneShot, Level, Level} {
			require.NoError(t, p.Modify(sock, Token(token), Readable, mode))
			require.Equal(t, []Event{{Token(token), Readable, 0}}, harvest(t, p))
			require.Equal(t, mode == Level, len(harvest(t, p)) == 1)
			s.Input(sock, 1)
			require.Equal(t, mode != OneShot, len(harvest(t, p)) == 1)
		}
	})
}

// EINTR comes when a change has been made; made again it does no harm. A wait
// that a signal or macOS's ETIMEDOUT ends has found nothing.
func TestSystemsFaults(t *testing.T) {
	eachSystem(t, func(t *testing.T, s *kqueuesim.Script, k *emulatedQueue, p *front) {
		calls := 0
		k.Fault = func(int, int) error {
			if calls++; calls%2 == 1 {
				return syscall.EINTR
			}
			return nil
		}
		s.Open(sock, connected)
		require.NoError(t, p.Add(sock, 1, Readable|Writable, Level))
		require.NoError(t, p.Modify(sock, 2, Readable, OneShot))
		require.NoError(t, p.Wake())
		require.NoError(t, p.Remove(sock))
		for _, err := range []error{syscall.EINTR, syscall.ETIMEDOUT} {
			k.Fault = func(changes, _ int) error {
				k.Fault = nil
				return err
			}
			n, got := p.Wait(make([]Event, 1), time.Hour)
			require.NoError(t, got)
			require.Zero(t, n)
			require.NoError(t, p.Wake())
		}
	})
}

func TestSystemsTimeouts(t *testing.T) {
	eachSystem(t, func(t *testing.T, s *kqueuesim.Script, _ *emulatedQueue, p *front) {
		for _, d := range []time.Duration{0, 1, 1<<63 - 1} {
			require.NoError(t, p.Wake())
			_, err := p.Wait(make([]Event, 1), d)
			require.NoError(t, err)
		}
	})
}

func TestSystemsRefusals(t *testing.T) {
	eachSystem(t, func(t *testing.T, s *kqueuesim.Script, k *emulatedQueue, p *front) {
		s.Open(file, kqueuesim.State{Kind: kqueuesim.Regular})
		require.ErrorIs(t, p.Add(file, 1, Readable, Level), ErrNotPollable)
		require.ErrorIs(t, p.Add(sock, 1, Readable, Level), syscall.EBADF)
		s.Open(sock, kqueuesim.State{Kind: kqueuesim.Terminal})
		for _, interest := range []Interest{0, Readable, Writable} {
			if err := p.Add(sock, 1, interest, Level); k.Profile().RefusesTTY {
				require.ErrorIs(t, err, ErrNotPollable)
				require.ErrorIs(t, p.Remove(sock), ErrNotExist)
			} else {
				require.NoError(t, err)
				require.NoError(t, p.Remove(sock))
			}
		}
	})
}

// A user event and a descriptor may have one number.
func TestSystemsDescriptorZero(t *testing.T) {
	eachSystem(t, func(t *testing.T, s *kqueuesim.Script, _ *emulatedQueue, p *front) {
		s.Open(0, connected)
		require.NoError(t, p.Add(0, 1, Readable, Level))
		require.NoError(t, p.Wake())
		require.Empty(t, harvest(t, p))
		s.Input(0, 1)
		require.NoError(t, p.Wake())
		require.Equal(t, []Event{{1, Readable, 0}}, harvest(t, p))
		require.NoError(t, p.Remove(0))
		require.NoError(t, p.Wake())
		n, err := p.Wait(make([]Event, 1), -1)
		require.NoError(t, err)
		require.Zero(t, n)
	})
}
