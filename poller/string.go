package poller

import (
	"fmt"
	"strconv"
	"strings"
)

// String returns the names of the conditions: "Readable|Writable", or "0".
func (i Interest) String() string { return names(uint8(i), "Readable", "Writable", "PeerClosed") }

// String returns the names of the hints: "Hangup|Failed", or "0".
func (h Hint) String() string { return names(uint8(h), "Hangup", "Failed") }

// String returns the name of the mode: "Level".
func (m Mode) String() string {
	if list := [...]string{"Level", "Edge", "OneShot"}; int(m) < len(list) {
		return list[m]
	}
	return "Mode(" + strconv.Itoa(int(m)) + ")"
}

// String describes e for logs: "token 7: Readable, Failed".
func (e Event) String() string {
	s := fmt.Sprintf("token %d: %v", e.Token, e.Ready)
	if e.Hints != 0 {
		s += ", " + e.Hints.String()
	}
	return s
}

// names joins the names of the bits that are set.
func names(bits uint8, list ...string) string {
	var found []string
	for i, name := range list {
		if bit := uint8(1) << i; bits&bit != 0 {
			found = append(found, name)
			bits &^= bit
		}
	}
	if bits != 0 || len(found) == 0 {
		found = append(found, strconv.Itoa(int(bits)))
	}
	return strings.Join(found, "|")
}
