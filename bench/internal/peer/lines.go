package peer

import "bytes"

// WholeLines returns how many bytes of p are whole lines, looking at each of
// them as a server has to that does something with a line; none ends before
// from. It is for libraries that do not find lines themselves.
func WholeLines(p []byte, from int) int {
	end := 0
	for at := from; ; at = end {
		i := bytes.IndexByte(p[at:], '\n')
		if i < 0 {
			return end
		}
		end = at + i + 1
	}
}
