//go:build unix

package tcp_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/tcp"
)

// The client of net/http keeps its connections on a loop.
func ExampleDialer_DialContext() {
	loop, err := ioloop.New(ioloop.Config{})
	if err != nil {
		log.Fatal(err)
	}
	ended := make(chan error)
	go func() { ended <- loop.Run(context.Background()) }()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "hello")
	}))
	defer server.Close()

	dialer := &tcp.Dialer{Loop: loop}
	client := &http.Client{Transport: &http.Transport{DialContext: dialer.DialContext}}
	answer, err := client.Get(server.URL)
	if err != nil {
		log.Fatal(err)
	}
	body, err := io.ReadAll(answer.Body)
	_ = answer.Body.Close()
	fmt.Println(string(body), err)

	client.CloseIdleConnections()
	_ = loop.Close()
	fmt.Println(<-ended)
	// Output:
	// hello <nil>
	// <nil>
}
