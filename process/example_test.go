//go:build unix

package process_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os/exec"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/process"
)

// A task gives a program its input, reads what it answers, and learns how it
// ended. Read first, then wait: a program whose output nobody reads may never
// exit.
func Example() {
	loop, err := ioloop.New(ioloop.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer loop.Close()
	_ = loop.Go(func(t *ioloop.Task) {
		defer loop.Stop()
		p, err := process.Start(loop, exec.Command("sh", "-c", "sort; exit 3"), process.Stdin|process.Stdout, nil)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Fprint(p.Stdin, "pear\napple\nfig\n")
		_ = p.Stdin.CloseWrite()
		for line, err := range p.Stdout.Messages(t, iostream.Until("\n")) {
			fmt.Printf("%q %v\n", line, err)
		}
		var exit *exec.ExitError
		if errors.As(p.Wait(t), &exit) {
			fmt.Println("status", exit.ExitCode())
		}
	})
	if err := loop.Run(context.Background()); err != nil {
		log.Fatal(err)
	}
	// Output:
	// "apple\n" <nil>
	// "fig\n" <nil>
	// "pear\n" <nil>
	// status 3
}
