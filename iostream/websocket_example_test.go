package iostream_test

import (
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"log"
	"regexp"

	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/iostreamtest"
)

var webSocketKey = regexp.MustCompile(`(?i)\r\nSec-WebSocket-Key: *(\S+)`)

// echoWebSocket accepts a WebSocket (RFC 6455) and sends its frames back.
func echoWebSocket(s *iostream.Stream) error {
	return s.ReadFunc(iostream.Until("\r\n\r\n").Limit(8<<10), func(request []byte, err error) {
		key := webSocketKey.FindSubmatch(request)
		if err != nil || key == nil {
			_ = s.Close()
			return
		}
		sum := sha1.Sum(append(key[1], "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"...))
		fmt.Fprintf(s, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
			"Sec-WebSocket-Accept: %s\r\n\r\n", base64.StdEncoding.EncodeToString(sum[:]))
		_ = s.Handle(iostream.Split(webSocketFrame), func(frame []byte, err error) bool {
			if err != nil {
				return false
			}
			_, _ = s.Write(unmask(frame))
			return frame[0]&15 != 8 // close
		})
	})
}

// webSocketFrame is a bufio.SplitFunc: a frame as it is on the wire.
func webSocketFrame(b []byte, _ bool) (int, []byte, error) {
	header, payload := webSocketHeader(b)
	if header == 0 || uint64(len(b)-header) < payload {
		return 0, nil, nil // the stream's limit ends what is too long
	}
	size := header + int(payload)
	return size, b[:size], nil
}

// webSocketHeader returns the size of a frame's header, with the mask, and that
// of the payload; 0 if the header is incomplete.
func webSocketHeader(b []byte) (header int, payload uint64) {
	switch {
	case len(b) < 14 && (len(b) < 6 || b[1]&127 == 126 && len(b) < 8 || b[1]&127 == 127):
		return 0, 0
	case b[1]&127 == 126:
		return 8, uint64(binary.BigEndian.Uint16(b[2:]))
	case b[1]&127 == 127:
		return 14, binary.BigEndian.Uint64(b[2:])
	}
	return 6, uint64(b[1] & 127)
}

// unmask makes a client's frame one of the server's, in place.
func unmask(frame []byte) []byte {
	header, _ := webSocketHeader(frame)
	mask, payload := frame[header-4:header], frame[header:]
	for i := range payload {
		payload[i] ^= mask[i%4]
	}
	frame[1] &= 127
	return append(frame[:header-4], payload...)
}

// A WebSocket echo server in callbacks: its frames are a SplitFunc.
func Example_webSocket() {
	world := iostreamtest.NewWorld()
	defer world.Close()
	wire := iostreamtest.NewWire(iostreamtest.Options{ReadSize: 5})
	s, err := iostream.New(world.Loop, wire.Transport(), nil)
	if err != nil {
		log.Fatal(err)
	}
	err = echoWebSocket(s)
	wire.Arrive([]byte("GET /chat HTTP/1.1\r\nHost: server\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"))
	wire.Arrive([]byte("\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58")) // "Hello" of RFC 6455, section 5.7
	fmt.Println(err, world.Settle())
	fmt.Printf("%q\n", wire.Sent())
	// Output:
	// <nil> <nil>
	// "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n\x81\x05Hello"
}
