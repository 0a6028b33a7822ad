package peer

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"time"
)

// The programs of the behaviour table have these modes; each begins when the
// client has sent one byte.
//
//	late     LateReply, LateDelay after the client has finished writing
//	big      write Big and close
//	writev   write Slices as one vectored write and close
//	dial     connect to the address -to and tell what comes of it

// LateDelay is how long a late reply takes.
const LateDelay = 100 * time.Millisecond

// What the modes send.
var (
	LateReply = []byte("late")
	Big       = bytes.Repeat([]byte("0123456789abcdef"), 2<<20)
	Slices    = slices1100()
)

// DialTo is where to connect to, and where a relay leads.
var DialTo = flag.String("to", "", "address to connect to: mode dial, relays")

func slices1100() [][]byte {
	var list [][]byte
	for i := range 1100 {
		list = append(list, fmt.Appendf(nil, "%03d", i%1000))
	}
	return list
}

// Dialled tells the outcome of mode dial and ends the program.
func Dialled(err error) {
	if err == nil {
		fmt.Println("outcome connected")
	} else {
		fmt.Printf("outcome error: %v\n", err)
	}
	os.Exit(0)
}
