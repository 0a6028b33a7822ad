package iostream

import (
	"io"
	"strings"
	"testing"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/stretchr/testify/require"
)

// What the kernel can move is known however it is wrapped.
func TestSourcesOfCopies(t *testing.T) {
	s := new(Stream)
	reader, tasks := &IO{stream: s}, &IO{stream: s, ctx: new(ioloop.Task)}
	conn := &Conn{stream: s}
	limit := &io.LimitedReader{R: conn, N: 1}
	for _, c := range []struct {
		from io.Reader
		want *copySource
	}{
		{conn, &copySource{stream: s, conn: conn}},
		{plainReader{conn}, &copySource{stream: s, conn: conn}},
		{limit, &copySource{stream: s, conn: conn, limit: limit}},
		{reader, &copySource{stream: s, io: reader}},
		{tasks, nil},
		{strings.NewReader("x"), nil},
		{io.LimitReader(strings.NewReader("x"), 1), nil},
	} {
		require.Equal(t, c.want, sourceOf(c.from), "%T", c.from)
	}
}

// What has to be decrypted, or is no socket, is read in large pieces, as it never goes
// through a pipe.
func TestCopyOfWhatIsNoPlainSocket(t *testing.T) {
	for _, state := range []state{attached, attached | layered} {
		s := &Stream{config: defaultConfig, state: state}
		src := sourceOf(&Conn{stream: s})
		for range bulkReads {
			src.noteRead(maxRead)
		}
		require.Nil(t, src.receive())
		buf := make([]byte, maxRead)
		for range 3 {
			require.Equal(t, maxRead, len(src.room(buf)))
			src.noteRead(maxRead)
		}
	}
}
