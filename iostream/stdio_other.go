//go:build unix && !linux

package iostream

import "errors"

// reopen fails: only Linux can open what a descriptor stands for once more. In
// /dev/fd of the others is the open file itself.
func reopen(int, int) (int, error) { return -1, errors.ErrUnsupported }
