// Command clients are those of a load: they connect to -to, and go on until
// they are killed.
package main

import (
	"bytes"
	"fmt"
	"net"
	"time"

	"github.com/eddyloop/eddy/bench/internal/lag"
	"github.com/eddyloop/eddy/bench/internal/peer"
)

func main() {
	peer.Parse("raw")
	switch *lag.Flag {
	case "producer":
		go readAll(dial(), 64<<10)
	case "pipeline":
		for range lag.Pipeliners {
			c := dial()
			go readAll(c, 64<<10)
			go writeLines(c)
		}
	case "broadcast":
		for range lag.Listeners {
			go readAll(dial(), 512)
		}
	case "slow":
		for i := range lag.Readers {
			go readSlowly(dial(), i)
		}
	}
	fmt.Println("listening on nothing: all is connected")
	select {}
}

func dial() *net.TCPConn {
	c, err := net.Dial("tcp", *peer.DialTo)
	peer.Check(err)
	return c.(*net.TCPConn)
}

func readAll(c net.Conn, size int) {
	for buf := make([]byte, size); ; {
		_, err := c.Read(buf)
		peer.Check(err)
	}
}

func writeLines(c net.Conn) {
	for lines := bytes.Repeat([]byte("x\n"), 16<<10); ; {
		_, err := c.Write(lines)
		peer.Check(err)
	}
}

// readSlowly reads 32 KiB ten times a second, with a small window, and asks for
// the next answer when it has one.
func readSlowly(c *net.TCPConn, number int) {
	peer.Check(c.SetReadBuffer(16 << 10))
	buf, got := make([]byte, 32<<10), 0
	time.Sleep(time.Duration(number%100) * time.Millisecond)
	_, err := c.Write([]byte("x\n"))
	peer.Check(err)
	for range time.Tick(100 * time.Millisecond) {
		n, err := c.Read(buf)
		peer.Check(err)
		if got += n; got >= lag.Answer {
			got -= lag.Answer
			_, err := c.Write([]byte("x\n"))
			peer.Check(err)
		}
	}
}
