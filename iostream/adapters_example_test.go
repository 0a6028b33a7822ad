//go:build unix

package iostream_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"strings"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
)

// runLoop runs a loop until the returned function is called.
func runLoop() (loop *ioloop.Loop, stop func()) {
	loop, err := ioloop.New(ioloop.Config{})
	if err != nil {
		log.Fatal(err)
	}
	ended := make(chan error)
	go func() { ended <- loop.Run(context.Background()) }()
	return loop, func() {
		_ = loop.Close()
		<-ended
	}
}

// A relay connects the peers of two streams, as a proxy does.
func ExampleRelay() {
	loop, stop := runLoop()
	defer stop()
	client, a := connected(loop)
	b, server := connected(loop)

	done := make(chan string)
	go func() {
		counts, err := iostream.Relay(context.Background(), a, b)
		done <- fmt.Sprintf("%d up, %d down, %v", counts.AToB.Written, counts.BToA.Written, err)
	}()
	go func() {
		request, _ := server.Read(context.Background(), iostream.Bytes(7))
		fmt.Fprintf(server, "answer to %s", request)
		_ = server.CloseWrite()
	}()
	fmt.Fprint(client, "request")
	answer, err := client.Read(context.Background(), iostream.UntilClose())
	_ = client.CloseWrite()
	fmt.Printf("%s %v\n%s\n", answer, err, <-done)
	// Output:
	// answer to request <nil>
	// 7 up, 17 down, <nil>
}

// A task uses what takes an io.Reader and an io.Writer, and waits without holding
// the loop.
func ExampleStream_IO() {
	loop, stop := runLoop()
	defer stop()
	a, b := connected(loop)
	done := make(chan string)
	_ = loop.Go(func(t *ioloop.Task) {
		var point struct{ X, Y int }
		err := json.NewDecoder(b.IO(t)).Decode(&point)
		done <- fmt.Sprint(point, err)
	})
	_ = json.NewEncoder(a.IO(context.Background())).Encode(map[string]int{"X": 3, "Y": 4})
	fmt.Println(<-done)
	// Output: {3 4} <nil>
}

// io.Copy to a stream waits for the peer.
func ExampleStream_ReadFrom() {
	loop, stop := runLoop()
	defer stop()
	a, b := connected(loop)
	n, err := io.Copy(a, strings.NewReader("a long text"))
	fmt.Println(n, err)
	_ = a.CloseWrite()
	text, err := b.Read(context.Background(), iostream.UntilClose())
	fmt.Printf("%s %v\n", text, err)
	// Output:
	// 11 <nil>
	// a long text <nil>
}

// A header and a body leave together, and the body is not copied.
func ExampleStream_WriteBuffers() {
	loop, stop := runLoop()
	defer stop()
	a, b := connected(loop)
	_, _ = a.WriteBuffers([][]byte{[]byte("4\n"), []byte("body")})
	header, _ := b.Read(context.Background(), iostream.Until("\n"))
	fmt.Printf("%q\n", header)
	body, _ := b.Read(context.Background(), iostream.Bytes(4))
	fmt.Printf("%q\n", body)
	// Output:
	// "4\n"
	// "body"
}
