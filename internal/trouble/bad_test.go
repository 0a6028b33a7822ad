//go:build unix

package trouble

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// badClient does one bad thing on a connection.
type badClient struct {
	*net.TCPConn
	*rand.Rand
	longest time.Duration
}

// hold waits for a random while.
func (c *badClient) hold() { time.Sleep(time.Duration(c.Int64N(int64(c.longest)))) }

// reset closes with a RST.
func (c *badClient) reset() {
	_ = c.SetLinger(0)
	_ = c.Close()
}

func (c *badClient) send(text string) error {
	_, err := io.WriteString(c, text)
	return err
}

// helloBeginning is how a TLS client begins: the headers of a record and of a
// message of 512 bytes, and a few of these.
const helloBeginning = "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03random"

// hoard is how much of a line, which is never ended, makes the server keep about as much as
// a line may be.
const hoard = 900 << 10

// faults are what can be done wrong, by name. With TLS most of them are garbage
// in place of a handshake too.
var faults = []struct {
	name string
	do   func(c *badClient)
}{
	{"closes at once", func(*badClient) {}},
	{"resets at once", (*badClient).reset},
	{"is silent", (*badClient).hold},
	{"resets with an answer under way", func(c *badClient) {
		_ = c.send("hello\n")
		c.reset()
	}},
	{"resets within a line", func(c *badClient) {
		_ = c.send("hello\nhalf a l")
		c.hold()
		c.reset()
	}},
	{"vanishes within a line", func(c *badClient) {
		_ = c.send("half a l")
		c.hold()
	}},
	{"leaves its end half open", func(c *badClient) {
		_ = c.send("half a l") // so that the server has nothing to send
		forsake(c.TCPConn)
	}},
	{"breaks off a TLS hello", func(c *badClient) {
		_ = c.send(helloBeginning)
		c.hold()
	}},
	{"says hello byte by byte", func(c *badClient) {
		for end, i := time.Now().Add(c.longest), 0; time.Now().Before(end); time.Sleep(c.longest / 30) {
			if c.send(helloBeginning[i:i+1]) != nil {
				return
			}
			i = min(i+1, len(helloBeginning)-1)
		}
	}},
	{"sends byte by byte", func(c *badClient) { // and never ends its line
		for end := time.Now().Add(c.longest); time.Now().Before(end); time.Sleep(c.longest / 30) {
			if c.send("x") != nil {
				return
			}
		}
		c.reset()
	}},
	{"reads byte by byte", func(c *badClient) {
		_ = c.SetReadBuffer(1)
		go func() { _ = c.send(strings.Repeat("a line of a client that takes its time\n", 2000)) }()
		for end := time.Now().Add(c.longest); time.Now().Before(end); time.Sleep(c.longest / 30) {
			if _, err := c.Read(make([]byte, 1)); err != nil {
				return
			}
		}
	}},
	{"never reads", func(c *badClient) {
		_ = c.SetReadBuffer(1)
		_ = c.SetWriteDeadline(time.Now().Add(c.longest))
		_ = c.send(strings.Repeat(strings.Repeat("y", 999)+"\n", 4000))
		c.hold()
	}},
	{"hoards", func(c *badClient) {
		_ = c.SetWriteDeadline(time.Now().Add(c.longest))
		_ = c.send(strings.Repeat("z", hoard))
		c.hold()
	}},
	{"sends a line that is too long", func(c *badClient) {
		_ = c.SetDeadline(time.Now().Add(c.longest))
		_ = c.send(strings.Repeat("w", 2<<20))
		_, _ = io.Copy(io.Discard, c)
	}},
}

// misbehave is the process of the bad clients. Its arguments are how many
// connections to make, how many of them at once, how long the longest last, a
// seed, and the addresses.
func misbehave() {
	total, _ := strconv.Atoi(os.Args[1])
	at, _ := strconv.Atoi(os.Args[2])
	longest, _ := time.ParseDuration(os.Args[3])
	seed, _ := strconv.ParseUint(os.Args[4], 10, 64)
	addrs := os.Args[5:]
	var next, failed atomic.Int64
	counts := make([]atomic.Int64, len(faults))
	var wg sync.WaitGroup
	for range at {
		wg.Go(func() {
			for i := next.Add(1); i <= int64(total); i = next.Add(1) {
				random := rand.New(rand.NewPCG(seed, uint64(i)))
				conn, err := net.DialTimeout("tcp", addrs[random.IntN(len(addrs))], patience)
				if err != nil {
					failed.Add(1)
					continue
				}
				kind := random.IntN(len(faults))
				counts[kind].Add(1)
				faults[kind].do(&badClient{conn.(*net.TCPConn), random, longest})
				_ = conn.Close()
			}
		})
	}
	wg.Wait()
	var report bytes.Buffer
	fmt.Fprintf(&report, "%d could not connect", failed.Load())
	for i, f := range faults {
		fmt.Fprintf(&report, ", %d: %s", counts[i].Load(), f.name)
	}
	fmt.Println(&report)
	_, _ = io.Copy(io.Discard, os.Stdin)
}
