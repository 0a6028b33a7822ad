//go:build linux

package kqueuesim

import "syscall"

// register makes one change.
func (q *Queue) register(c Kevent) error {
	p := q.profile
	if c.Filter != p.Read && c.Filter != p.Write && (c.Filter != p.User || p.NoUser) {
		return syscall.EINVAL
	}
	var file identity
	k := key{c.Ident, c.Filter}
	if c.Filter != p.User {
		var err error
		file, err = q.files.identify(int(c.Ident))
		n := q.notes[k]
		if n != nil && (err != nil || n.file != file) {
			q.drop(n) // its file has been closed
		}
		if err != nil {
			return err
		}
	}
	n := q.notes[k]
	switch {
	case n == nil && c.Flags&EV_ADD == 0:
		return syscall.ENOENT
	case n == nil:
		var err error
		if n, err = q.attach(k, file, c); err != nil {
			return err
		}
	case c.Flags&EV_DELETE != 0:
		q.drop(n)
		return nil
	}
	if c.Filter == p.User {
		n.touch(c)
	} else if c.Flags&EV_ADD != 0 {
		n.fflags, n.data = c.Fflags, c.Data
	}
	if c.Flags&EV_ADD != 0 {
		n.udata = c.Udata
	}
	if c.Flags&EV_DISABLE != 0 {
		n.disabled = true
		q.deactivate(n)
	} else if c.Flags&EV_ENABLE != 0 || c.Flags&EV_ADD != 0 && !p.AddKeepsDisabled {
		n.disabled = false
	}
	if v := q.judge(n); v.ready {
		n.found = v
		q.activate(n)
	}
	return nil
}

// attach makes a knote. Its mode is fixed: adding it again doesn't change it.
func (q *Queue) attach(k key, file identity, c Kevent) (*knote, error) {
	q.lastID++
	n := &knote{key: k, id: q.lastID, file: file, mode: c.Flags}
	if k.filter != q.profile.User {
		s := q.files.state(int(k.ident))
		if err := q.profile.attachable(&s, k.filter); err != nil {
			return nil, err
		}
		if err := q.files.watch(n, k.filter == q.profile.Read); err != nil {
			return nil, err
		}
	}
	q.notes[k] = n
	q.byID[n.id] = n
	return n, nil
}

// touch is what a change does to a user event.
func (n *knote) touch(c Kevent) {
	given := c.Fflags & NOTE_FFLAGSMASK
	switch c.Fflags & NOTE_FFCTRLMASK {
	case NOTE_FFAND:
		n.user &= given
	case NOTE_FFOR:
		n.user |= given
	case NOTE_FFCOPY:
		n.user = given
	}
	n.data = c.Data
	if c.Fflags&NOTE_TRIGGER != 0 {
		n.triggered = true
	}
}

// alive tells whether the file of a knote is still open at its number.
func (q *Queue) alive(n *knote) bool {
	if n.filter == q.profile.User {
		return true
	}
	file, err := q.files.identify(int(n.ident))
	return err == nil && file == n.file
}

// drop removes a knote.
func (q *Queue) drop(n *knote) {
	q.deactivate(n)
	if n.filter != q.profile.User {
		q.files.forget(n, n.filter == q.profile.Read)
	}
	delete(q.notes, n.key)
	delete(q.byID, n.id)
}
