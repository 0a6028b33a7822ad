package iostream

import (
	"testing"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/poller"
	"github.com/stretchr/testify/require"
)

// What is usual takes the short way, and nothing else does.
func TestWhatIsUsual(t *testing.T) {
	for name, test := range map[string]struct {
		change func(s *Stream)
		ready  poller.Interest
		want   bool
	}{
		"usual":            {func(*Stream) {}, poller.Readable, true},
		"a task's":         {func(s *Stream) { s.op.reader = taskFunc(func(*ioloop.Task, *Stream, []byte) error { return nil }) }, poller.Readable, true},
		"a waiting call's": {func(s *Stream) { s.op.reader = new(waitOp) }, poller.Readable, true},
		"a task at work": {func(s *Stream) {
			s.op.reader = taskFunc(func(*ioloop.Task, *Stream, []byte) error { return nil })
			s.set(handling)
		}, poller.Readable, false},
		"a waiting call's at work": {func(s *Stream) { s.op.reader = new(waitOp); s.set(handling) }, poller.Readable, true},
		"writable, too":            {func(*Stream) {}, poller.Readable | poller.Writable, false},
		"listens to more":          {func(s *Stream) { s.armed |= poller.Writable }, poller.Readable, false},
		"nobody reads":             {func(s *Stream) { s.op = readOp{} }, poller.Readable, false},
		"one message":              {func(s *Stream) { s.op.reader = readFunc(func([]byte, error) {}) }, poller.Readable, false},
		"is paused":                {func(s *Stream) { s.op.stopped = true }, poller.Readable, false},
		"something to send":        {func(s *Stream) { s.out = new(output) }, poller.Readable, false},
		"something buffered":       {func(s *Stream) { s.in.data = make([]byte, 1) }, poller.Readable, false},
		"blocked":                  {func(s *Stream) { s.set(blocked) }, poller.Readable, false},
		"a budget":                 {func(s *Stream) { s.config = &Config{Budget: new(Budget)} }, poller.Readable, false},
		"bulk to be relayed": {func(s *Stream) {
			s.op.relayed = true
			s.details = &details{flow: &flow{bulk: bulk{large: bulkReads}}}
		}, poller.Readable, false},
	} {
		s := &Stream{config: defaultConfig, armed: poller.Readable, state: attached | pumping | plainSocket}
		s.op = readOp{kind: readUntil, size: 10, delim: "\n", reader: eachFunc(func([]byte, error) bool { return true })}
		test.change(s)
		require.Equal(t, test.want, s.steady(test.ready), name)
	}
}
