package iostream_test

import (
	"fmt"
	"log"
	"strconv"

	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/iostreamtest"
)

// serveRESP answers the commands of a Redis client (RESP2): an array of bulk
// strings each, "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n".
func serveRESP(s *iostream.Stream, execute func(args []string) string) error {
	line := iostream.Until("\r\n").Limit(64)
	var args []string
	missing, inBulk := 0, false
	return s.Handle(line, func(msg []byte, err error) bool {
		if err != nil {
			return false
		}
		text := string(msg[:len(msg)-2])
		if inBulk {
			args, inBulk = append(args, text), false
			if missing--; missing == 0 {
				_, _ = s.Write([]byte(execute(args)))
			}
			return s.SetFrame(line) == nil
		}
		n, err := strconv.Atoi(text[min(1, len(text)):])
		switch {
		case err == nil && n > 0 && text[0] == '*' && missing == 0:
			args, missing = nil, n
			return true
		case err == nil && n >= 0 && text[0] == '$' && missing > 0:
			inBulk = true
			return s.SetFrame(iostream.Bytes(n+2)) == nil
		}
		_, _ = s.Write([]byte("-ERR protocol error\r\n"))
		return false
	})
}

// A RESP server in callbacks: header, then body, by SetFrame.
func Example_resp() {
	world := iostreamtest.NewWorld()
	defer world.Close()
	wire := iostreamtest.NewWire(iostreamtest.Options{ReadSize: 3})
	s, err := iostream.New(world.Loop, wire.Transport(), nil)
	if err != nil {
		log.Fatal(err)
	}
	stored := map[string]string{}
	err = serveRESP(s, func(args []string) string {
		switch {
		case args[0] == "SET" && len(args) == 3:
			stored[args[1]] = args[2]
			return "+OK\r\n"
		case args[0] == "GET" && len(args) == 2:
			return fmt.Sprintf("$%d\r\n%s\r\n", len(stored[args[1]]), stored[args[1]])
		}
		return "-ERR unknown command\r\n"
	})
	wire.Arrive([]byte("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$6\r\na\r\nb\r\n\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\n"))
	fmt.Println(err, world.Settle())
	fmt.Printf("%q\n", wire.Sent())
	// Output:
	// <nil> <nil>
	// "+OK\r\n$6\r\na\r\nb\r\n\r\n"
}
