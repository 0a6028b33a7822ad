//go:build unix

package poller

import "syscall"

// deadWriter is a registration that is writable, in that a write fails at
// once, though the kernel won't say so.
type deadWriter struct{ slot, gen uint32 }

// writerIsDead tells whether err, of adding the write filter, says that the
// pipe has no reader any more. Some kernels accept the filter and fire it;
// others answer EPIPE (FreeBSD), EBADF (NetBSD) or EPERM.
func (q *kqueue) writerIsDead(s *slot, err error) bool {
	switch err {
	case syscall.EPIPE, syscall.EPERM:
		return true
	case syscall.EBADF:
		_, err := q.sys.kind(int(s.fd))
		return err == nil // it is open
	}
	return false
}

// bury makes the next wait, and in Level mode all further ones, report slot i
// as writable, or if only the close is watched for, the next one that.
func (q *kqueue) bury(i uint32) {
	d := deadWriter{i, q.table.slots[i].gen}
	keep := q.dead[:0]
	for _, other := range q.dead {
		if other != d && q.table.at(other.slot, other.gen) != nil {
			keep = append(keep, other)
		}
	}
	q.dead = append(keep, d)
}

// reportDead adds as many dead writers to the batch as there is room for.
// Those that have been served and stay go behind the others.
func (q *kqueue) reportDead(out []Event, n int) int {
	waiting, served := q.dead[:0], q.served[:0]
	for _, d := range q.dead {
		s := q.table.at(d.slot, d.gen)
		if s == nil {
			continue // changed or removed
		}
		if n == len(out) {
			waiting = append(waiting, d)
			continue
		}
		n = q.join(out, n, d.slot, Writable|PeerClosed, Failed, 0)
		if s.mode == Level && s.interest&Writable != 0 {
			served = append(served, d)
		}
	}
	q.dead = append(waiting, served...)
	q.served = served
	return n
}
