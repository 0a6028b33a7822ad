//go:build linux

package kqueuesim

import (
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// EVFILT_READ, sockets: EV_EOF when the reading direction is shut down, perhaps
// with data still pending.
func TestSocketEnd(t *testing.T) {
	each(t, func(b *bench) {
		b.socket(sock)
		require.NoError(b, b.read(sock, EV_ADD))
		b.Input(sock, 9)
		b.EndInput(sock)
		require.Equal(b, []string{"read 3: 9 eof"}, b.found())
		b.Drain(sock)
		for range 3 {
			require.Equal(b, []string{"read 3: 0 eof"}, b.found())
		}
	})
}

// EVFILT_READ, sockets: with EV_EOF the socket's error is in fflags. EVFILT_WRITE:
// likewise.
func TestSocketError(t *testing.T) {
	each(t, func(b *bench) {
		b.Open(sock, State{Kind: Stream}) // connecting
		require.NoError(b, b.read(sock, EV_ADD))
		require.NoError(b, b.write(sock, EV_ADD))
		require.Empty(b, b.found())
		b.Break(sock, syscall.ECONNREFUSED)
		require.ElementsMatch(b, []string{"read 3: 0 eof 0x6f", "write 3: 0 eof 0x6f"}, b.found())
		b.Set(sock, func(s *State) { s.Err = 0 }) // SO_ERROR
		require.ElementsMatch(b, []string{"read 3: 0 eof", "write 3: 0 eof"}, b.found())
	})
}

// A datagram socket's error makes it ready, and is no end, say the kernels.
func TestDatagramError(t *testing.T) {
	each(t, func(b *bench) {
		b.Open(sock, State{Kind: Datagram})
		require.NoError(b, b.read(sock, EV_ADD))
		b.happen(sock, true, true, func(s *State) { s.Err = uint32(syscall.ECONNREFUSED) })
		require.Equal(b, []string{"read 3: 0"}, b.found())
		b.Set(sock, func(s *State) { s.Err = 0 })
		require.Empty(b, b.found())
		b.Input(sock, 0)
		require.Equal(b, []string{"read 3: 0"}, b.found(), "an empty datagram")
	})
}

// The own shutdown is the end of writing, too, say the kernels.
func TestOwnShutdown(t *testing.T) {
	each(t, func(b *bench) {
		b.socket(sock)
		b.Fill(sock)
		require.NoError(b, b.read(sock, EV_ADD))
		require.NoError(b, b.write(sock, EV_ADD|EV_CLEAR))
		b.EndOutput(sock)
		require.Equal(b, []string{"write 3: 0 eof"}, b.found())
		require.Empty(b, b.found())
	})
}

// EVFILT_READ, listening sockets: ready when a connection waits; data is the length
// of the queue. It's never writable.
func TestListener(t *testing.T) {
	each(t, func(b *bench) {
		b.Open(sock, State{Kind: Listener})
		require.NoError(b, b.read(sock, EV_ADD))
		require.NoError(b, b.write(sock, EV_ADD))
		b.Input(sock, 1)
		b.Input(sock, 1)
		require.Equal(b, []string{"read 3: 2"}, b.found())
	})
}

// EVFILT_READ, pipes: EV_EOF when the last writer goes. EVFILT_WRITE: data is the
// room, and EV_EOF when the reader goes.
func TestPipeEnds(t *testing.T) {
	each(t, func(b *bench) {
		b.Open(pipe, State{Kind: PipeReader})
		require.NoError(b, b.read(pipe, EV_ADD))
		b.Input(pipe, 4)
		b.EndInput(pipe)
		require.Equal(b, []string{"read 4: 4 eof"}, b.found())
		b.Drain(pipe)
		require.Equal(b, []string{"read 4: 0 eof"}, b.found())
		b.Close(pipe)

		b.Open(pipe, State{Kind: PipeWriter, Writable: true, Room: 4096})
		require.NoError(b, b.read(pipe, EV_ADD|EV_CLEAR))
		require.NoError(b, b.write(pipe, EV_ADD))
		require.Equal(b, []string{"write 4: 4096"}, b.found())
		b.Fill(pipe)
		require.Empty(b, b.found())
		b.EndOutput(pipe)
		var once, always []string
		if !b.p.DeafWriter {
			once = []string{"read 4: 0 eof"}
		}
		if !b.p.FullWriterDeaf {
			always = []string{"write 4: 0 eof"}
		}
		require.ElementsMatch(b, append(once, always...), b.found())
		require.ElementsMatch(b, always, b.found())
		b.Close(pipe)

		b.Open(pipe, State{Kind: PipeWriter, Writable: true, Room: 4096})
		require.NoError(b, b.write(pipe, EV_ADD|EV_CLEAR))
		require.Len(b, b.found(), 1)
		b.Write(pipe, 96)
		if b.p.WritesTell {
			require.Equal(b, []string{"write 4: 4000"}, b.found())
		}
		require.Empty(b, b.found())
		b.Write(pipe, 96)
		b.Fill(pipe)
		require.Empty(b, b.found(), "there is no room")
		b.Close(pipe)

		b.Open(pipe, State{Kind: PipeReader})
		require.NoError(b, b.read(pipe, EV_ADD|EV_CLEAR))
		require.NoError(b, b.write(pipe, EV_ADD|EV_CLEAR))
		b.happen(pipe, true, true, func(s *State) { s.InputEnded = true })
		want := []string{"read 4: 0 eof"}
		if !b.p.ReaderNotWritable {
			want = append(want, "write 4: 0 eof")
		}
		require.ElementsMatch(b, want, b.found())
		b.ReadEnd(pipe)
		require.Equal(b, b.p.EndReadTells, len(b.found()) == 1)
	})
}

// EVFILT_READ, FIFOs: EV_EOF may be cleared with EV_CLEAR; FreeBSD: it is cleared
// when another writer comes, as NetBSD does.
func TestFIFOEnd(t *testing.T) {
	each(t, func(b *bench) {
		if b.p.DeafFIFO {
			b.Open(pipe, State{Kind: FIFOReader})
			require.NoError(b, b.read(pipe, EV_ADD))
			b.EndInput(pipe)
			require.Empty(b, b.found())
			return
		}
		for flags, want := range map[uint32]string{EV_ADD: "read 4: 2 eof", EV_ADD | EV_CLEAR: "read 4: 2"} {
			b.Open(pipe, State{Kind: FIFOReader})
			require.NoError(b, b.read(pipe, flags))
			b.EndInput(pipe)
			require.Equal(b, []string{"read 4: 0 eof"}, b.found())
			b.Set(pipe, func(s *State) { s.InputEnded = false })
			b.Input(pipe, 2)
			if b.p.EndPasses {
				want = "read 4: 2"
			}
			require.Equal(b, []string{want}, b.found())
			b.Close(pipe)
		}
	})
}

// EVFILT_WRITE of a FIFO (NetBSD): that of the reading end.
func TestFIFOWriter(t *testing.T) {
	each(t, func(b *bench) {
		b.Open(pipe, State{Kind: FIFOWriter, Writable: true, Room: 4096})
		require.NoError(b, b.write(pipe, EV_ADD))
		if b.p.FIFOWritesAsReader {
			require.Equal(b, []string{"write 4: 0 eof"}, b.found())
			b.Fill(pipe)
			require.Equal(b, []string{"write 4: 0 eof"}, b.found())
			return
		}
		require.Equal(b, []string{"write 4: 4096"}, b.found())
		b.Fill(pipe)
		require.Empty(b, b.found())
		b.EndOutput(pipe)
		require.Equal(b, []string{"write 4: 0 eof"}, b.found())
	})
}

// What is ready always.
func TestFilesThatAreReady(t *testing.T) {
	each(t, func(b *bench) {
		b.Open(sock, State{Kind: Null})
		if b.p.NullPolls {
			require.NoError(b, b.read(sock, EV_ADD))
			require.Len(b, b.found(), 1)
		} else {
			require.ErrorIs(b, b.read(sock, EV_ADD), syscall.EINVAL)
		}
		b.Open(more, State{Kind: Regular})
		require.Equal(b, b.p.FileWritable, b.write(more, EV_ADD) == nil)
	})
}

// What each system says to EVFILT_WRITE for a pipe without a reader.
func TestDeadPipe(t *testing.T) {
	want := map[*Profile]error{
		FreeBSD: syscall.EPIPE, OpenBSD: syscall.EPIPE, DragonFly: syscall.EPIPE, NetBSD7: syscall.EBADF, NetBSD: syscall.EBADF,
	}
	each(t, func(b *bench) {
		b.Open(pipe, State{Kind: PipeWriter, OutputEnded: true})
		err := b.write(pipe, EV_ADD)
		if b.p == Darwin {
			require.NoError(b, err)
			require.Equal(b, []string{"write 4: 0 eof"}, b.found())
			return
		}
		require.ErrorIs(b, err, want[b.p])
		require.ErrorIs(b, b.write(pipe, EV_DELETE), syscall.ENOENT)
	})
}

func TestTerminal(t *testing.T) {
	each(t, func(b *bench) {
		b.Open(sock, State{Kind: Terminal})
		if err := b.read(sock, EV_ADD); b.p == Darwin {
			require.ErrorIs(b, err, syscall.EINVAL)
		} else {
			require.NoError(b, err)
		}
	})
}

func TestFilterNumbers(t *testing.T) {
	for p, want := range map[*Profile][3]int32{
		Darwin: {-1, -2, -10}, FreeBSD: {-1, -2, -11}, NetBSD: {0, 1, 8},
		OpenBSD: {-1, -2, -10}, DragonFly: {-1, -2, -9},
	} {
		require.Equal(t, want, [3]int32{p.Read, p.Write, p.User}, p.Name)
	}
	// A zeroed record is EVFILT_READ of descriptor 0 there.
	s := NewScript()
	q := s.NewQueue(NetBSD)
	s.Open(0, State{Kind: Stream})
	_, err := q.Kevent([]Kevent{{Flags: EV_ADD}}, nil, nil)
	require.NoError(t, err)
}

// EVFILT_USER: NOTE_TRIGGER triggers, any number of times for one event; the lower
// 24 bits of fflags are the user's, changed as the control flags say. With EV_CLEAR
// it is reset, without it stays. Its number is no descriptor.
func TestUserEvents(t *testing.T) {
	each(t, func(b *bench) {
		user := func(flags, fflags uint32) error {
			return b.change(Kevent{Ident: sock, Filter: b.p.User, Flags: flags, Fflags: fflags})
		}
		if b.p.NoUser {
			require.ErrorIs(b, user(EV_ADD, 0), syscall.EINVAL)
			return
		}
		b.socket(sock)
		require.NoError(b, b.read(sock, EV_ADD))
		require.NoError(b, user(EV_ADD|EV_CLEAR, 0))
		require.Empty(b, b.found())
		for range 5 {
			require.NoError(b, user(0, NOTE_TRIGGER))
		}
		require.Equal(b, []string{"user 3: 0"}, b.found())
		require.Empty(b, b.found())
		b.Close(sock)
		require.NoError(b, user(0, NOTE_TRIGGER|NOTE_FFOR|6))
		require.Equal(b, []string{"user 3: 0 0x6"}, b.found())
		require.NoError(b, user(0, NOTE_TRIGGER|NOTE_FFAND|3))
		require.Equal(b, []string{"user 3: 0 0x2"}, b.found())
		require.NoError(b, user(0, NOTE_TRIGGER|NOTE_FFCOPY|9))
		require.Equal(b, []string{"user 3: 0 0x9"}, b.found())
		require.NoError(b, user(0, NOTE_TRIGGER|NOTE_FFNOP|1))
		require.Equal(b, []string{"user 3: 0 0x9"}, b.found())
		require.NoError(b, user(EV_DELETE, 0))
		require.NoError(b, user(EV_ADD, 0))
		require.NoError(b, user(0, NOTE_TRIGGER))
		require.Len(b, b.found(), 1)
		require.Len(b, b.found(), 1)
	})
}
