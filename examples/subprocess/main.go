// Command subprocess drives another program as a person would: it waits for what the program
// says and answers it, as expect(1) does. Here the program is bc, a calculator. It shows a
// child's standard input and output as streams, reads by regular expression, a limit of time
// for each answer, and how the child ends.
//
//	go run ./subprocess '2^64' '10/4' 'sqrt(2)'
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"time"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/process"
)

func main() {
	if err := run(context.Background(), os.Stdout, os.Args[1:]); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, out io.Writer, sums []string) error {
	loop, err := ioloop.New(ioloop.Config{})
	if err != nil {
		return err
	}
	defer loop.Close()
	return loop.RunTask(ctx, func(t *ioloop.Task) error {
		c, err := startCalculator(loop)
		if err != nil {
			return err
		}
		for _, sum := range sums {
			answer, err := c.ask(t, sum)
			if err != nil {
				_ = c.Kill()
				return fmt.Errorf("%s: %w", sum, err)
			}
			fmt.Fprintf(out, "%s = %s\n", sum, answer)
		}
		_ = c.Stdin.CloseWrite() // for bc the end of its work
		return c.Wait(t)
	})
}

// calculator is a bc that runs.
type calculator struct{ *process.Process }

func startCalculator(l *ioloop.Loop) (*calculator, error) {
	cmd := exec.Command("sh", "-c", "exec bc -lq 2>&1") // its complaints are answers too
	cmd.Env = append(os.Environ(), "BC_LINE_LENGTH=0")
	p, err := process.Start(l, cmd, process.Stdin|process.Stdout, nil)
	return &calculator{p}, err
}

// done is what bc is asked to print behind an answer.
var done = regexp.MustCompile(`(?s)^(.*?)\n?#done\n`)

const answerTimeout = 10 * time.Second

// ask returns what bc says to a sum.
func (c *calculator) ask(t *ioloop.Task, sum string) (string, error) {
	if _, err := fmt.Fprintf(c.Stdin, "%s\nprint \"#done\\n\"\n", sum); err != nil {
		return "", err
	}
	limited, cancel := t.WithTimeout(answerTimeout)
	defer cancel()
	said, err := c.Stdout.Read(limited, iostream.UntilRegexp(done).Limit(64<<10))
	if err != nil {
		return "", err
	}
	answer := string(done.FindSubmatch(said)[1])
	if strings.Contains(answer, "error") {
		return "", fmt.Errorf("bc says: %s", strings.TrimSpace(answer))
	}
	return answer, nil
}
