//go:build unix

package poller

import "golang.org/x/sys/unix"

// kindOf looks at an open file.
func kindOf(fd int) (fileKind, unix.Stat_t, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return 0, st, err
	}
	switch uint32(st.Mode) & unix.S_IFMT {
	case unix.S_IFREG, unix.S_IFDIR:
		// Some kernels report these at every wait, others once.
		return kindAlways, st, nil
	case unix.S_IFIFO:
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
		if err == nil && flags&unix.O_ACCMODE == unix.O_WRONLY {
			return kindWriter, st, nil
		}
		return kindPipe, st, err
	case unix.S_IFSOCK:
		return kindSocket, st, nil
	}
	return kindOther, st, nil
}
