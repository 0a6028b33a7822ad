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
	conn := &Conn{stream: s}
	limit := &io.LimitedReader{R: conn, N: 1}
	for _, c := range []struct {
		from io.Reader
		want *copySource
	}{
		{conn, &copySource{stream: s, conn: conn}},
		{plainReader{conn}, &copySource{stream: s, conn: conn}},
		{limit, &copySource{stream: s, conn: conn, limit: limit}},
		{&IO{stream: s}, &copySource{stream: s}},
		{&IO{stream: s, ctx: new(ioloop.Task)}, nil},
		{strings.NewReader("x"), nil},
		{io.LimitReader(strings.NewReader("x"), 1), nil},
	} {
		require.Equal(t, c.want, sourceOf(c.from), "%T", c.from)
	}
}
