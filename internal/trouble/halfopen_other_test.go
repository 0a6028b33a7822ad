//go:build unix && !linux

package trouble

import "net"

// forsake can only close the end as usual.
func forsake(c *net.TCPConn) { _ = c.Close() }
