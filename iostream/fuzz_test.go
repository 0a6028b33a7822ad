package iostream

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzDelimiter looks for a delimiter in data that arrives in pieces, and
// compares each look with one at all that is there.
func FuzzDelimiter(f *testing.F) {
	f.Add("aab", "aaaab", uint16(5), []byte{2, 1})
	f.Add("\r\n\r\n", "\r\n\r\r\n\r\n", uint16(100), []byte{1})
	f.Add("\n", "\n", uint16(0), []byte{0})
	f.Fuzz(func(t *testing.T, delim, data string, limit uint16, pieces []byte) {
		if delim == "" || len(pieces) == 0 {
			return
		}
		op := readOp{kind: readUntil, delim: delim, size: int32(limit)}
		for end, i := 0, 0; end < len(data); i++ {
			end = min(len(data), end+1+int(pieces[i%len(pieces)]))
			want, tooLong := -1, end > int(limit)
			if at := strings.Index(data[:end], delim); at >= 0 {
				want = at + len(delim)
				if tooLong = want > int(limit); tooLong {
					want = -1
				}
			}
			if want >= 0 {
				tooLong = false
			}
			n, err := op.match([]byte(data[:end]))
			require.Equal(t, want, n, "in %q", data[:end])
			require.Equal(t, tooLong, err == ErrTooLong, "in %q", data[:end])
			if n >= 0 || err != nil {
				return
			}
		}
	})
}

// queueModel is what a write queue stands for.
type queueModel struct {
	bytes   []byte
	lent    []byte       // what is queued without a copy
	waiters []sentWaiter // by index, and in the order in which they came
}

// FuzzWriteQueue does to a write queue, and to a model of it, what the bytes
// say.
func FuzzWriteQueue(f *testing.F) {
	f.Add([]byte{0, 10, 0, 200, 1, 5, 2, 30, 3, 3, 3, 1, 4, 0, 5, 0})
	f.Add([]byte{0, 255, 0, 255, 0, 255, 1, 255, 1, 254, 2, 255, 6, 0})
	f.Fuzz(func(t *testing.T, script []byte) {
		q, m := new(output), new(queueModel)
		script = script[:min(len(script), 100)]
		for ; len(script) >= 2; script = script[2:] {
			m.play(t, q, script[0]%10, int(script[1]))
			m.compare(t, q)
		}
	})
}

func (m *queueModel) play(t *testing.T, q *output, what byte, n int) {
	switch what {
	case 0, 1: // a write that waits, short or longer than a chunk
		if len(m.bytes) > 4*chunkSize {
			return
		}
		p := bytes.Repeat([]byte{byte(n), byte(len(m.bytes))}, n*(1+300*int(what)))
		q.append(p)
		m.bytes = append(m.bytes, p...)
		clear(p)
	case 2: // the transport takes some, of what waits and of a write behind it
		p := []byte("behind")
		all := append(slices.Clone(m.bytes), p...)
		v := q.slices(p)
		require.True(t, bytes.Equal(all, bytes.Join(v, nil)))
		n = min(n*n, len(all))
		require.Equal(t, max(0, n-len(m.bytes)), q.consume(n))
		m.bytes = m.bytes[min(n, len(m.bytes)):]
	case 3: // somebody waits
		w := sentWaiter{index: int64(n % 16), wait: new(waitOp)}
		q.wait(w)
		at := slices.IndexFunc(m.waiters, func(o sentWaiter) bool { return o.index > w.index })
		if at < 0 {
			at = len(m.waiters)
		}
		m.waiters = slices.Insert(m.waiters, at, w)
	case 4: // and gives up
		if len(m.waiters) > 0 {
			i := n % len(m.waiters)
			q.withdraw(m.waiters[i].wait)
			m.waiters = slices.Delete(m.waiters, i, i+1)
		}
	case 5: // or is told
		if len(m.waiters) > 0 {
			q.pop()
			m.waiters = m.waiters[1:]
		}
	case 6:
		q.drop()
		m.bytes = nil
	case 7: // a write that has timed out is taken back
		n = min(n*n, len(m.bytes))
		q.truncate(n)
		m.bytes = m.bytes[:len(m.bytes)-n]
	case 8: // a writer that waits lends what it writes
		if len(m.bytes) > 4*chunkSize {
			return
		}
		p := bytes.Repeat([]byte{byte(n), byte(len(m.bytes))}, n*300)
		if q.borrowed == nil {
			m.lent = p // else it is copied
			if len(p) < shortestLoan {
				m.lent = nil
			}
		} else {
			defer clear(p)
		}
		q.borrow(p)
		m.bytes = append(m.bytes, p...)
	case 9: // and has it back
		q.keep()
		clear(m.lent)
		m.lent = nil
	}
	if q.borrowed == nil {
		clear(m.lent)
		m.lent = nil
	}
	require.LessOrEqual(t, q.lent(), len(m.lent))
}

func (m *queueModel) compare(t *testing.T, q *output) {
	require.Equal(t, len(m.bytes), q.size)
	require.True(t, bytes.Equal(m.bytes, bytes.Join(q.slices(nil), nil)))
	require.Equal(t, len(m.bytes) == 0 && len(m.waiters) == 0, q.idle())
	next := q.next()
	require.Equal(t, len(m.waiters) == 0, next == nil)
	if next != nil {
		require.Same(t, m.waiters[0].wait, next.wait)
	}
}

// TestWaitersThatWereToldTakeNoRoom: a sender with always a few writes under way
// never has a moment at which nobody waits.
func TestWaitersThatWereToldTakeNoRoom(t *testing.T) {
	q := new(output)
	for i := range 10_000 {
		q.wait(sentWaiter{index: int64(i)})
		if i >= 10 {
			require.EqualValues(t, i-10, q.next().index)
			q.pop()
		}
	}
	require.Less(t, cap(q.waiters), 100)
}
