package main

import (
	"fmt"
	"os"
	"path/filepath"
)

var pictures = map[string]func() []byte{
	"stream.svg": stream,
	"turn.svg":   turn,
	"bytes.svg":  bytesOwned,
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: pictures FOLDER")
		os.Exit(2)
	}
	for name, draw := range pictures {
		if err := os.WriteFile(filepath.Join(os.Args[1], name), draw(), 0o600); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}

// stream is the life of a stream.
func stream() []byte {
	p := newPicture(860, 400)
	open := p.box("strong", 30, 150, 150, "open", "reads and writes", "")
	in := p.box("box", 330, 40, 200, "input ended", "the peer sent FIN; what is", "buffered can be read")
	out := p.box("box", 330, 150, 200, "output ended", "our FIN is out, or", "a write has failed")
	closing := p.box("box", 330, 262, 200, "closing", "what was written is sent;", "input is thrown away")
	closed := p.box("end", 700, 150, 140, "closed", "callbacks are told,", "each once")
	p.arrow(open.top(50), point{105, in.middle()}, point{in.x, in.middle()})
	p.text("note", 215, in.middle()-8, "a read of 0 bytes")
	p.across(open, out, out.middle())
	p.text("note", 255, out.middle()-8, "CloseWrite")
	p.arrow(open.bottom(70), point{135, closing.middle()}, point{closing.x, closing.middle()})
	p.text("note", 235, closing.middle()-8, "Close; a Handler returns")
	p.arrow(point{in.x + in.w, in.middle()}, point{770, in.middle()}, closed.top(50))
	p.text("note", 640, in.middle()-8, "and the output ends too")
	p.across(out, closed, out.middle())
	p.text("note", 615, out.middle()-8, "and the input ends too")
	p.arrow(point{closing.x + closing.w, closing.middle()}, point{742, closing.middle()}, closed.bottom(30))
	p.text("note left", 538, closing.middle()-8, "the peer has all, and ends")
	p.text("note left", 538, closing.middle()+16, "its side or is silent for 0.5 s;")
	p.text("note left", 538, closing.middle()+32, "or nothing moves for CloseTimeout")
	p.arrow(open.bottom(30), point{75, 366}, point{798, 366}, closed.bottom(70))
	p.text("note", 420, 386, "Abort, a hard error, a panic, a clock: what was not delivered is dropped, and the peer sees a reset")
	return p.svg("The life of a stream")
}

// turn is one turn of a loop.
func turn() []byte {
	p := newPicture(860, 225)
	wait := p.box("end", 20, 60, 130, "wait", "until something is", "ready or due")
	events := p.box("strong", 190, 60, 140, "events", "read, deliver,", "callbacks, tasks")
	posts := p.box("box", 370, 60, 140, "queue", "posts, tasks that", "go on")
	timers := p.box("box", 550, 60, 120, "timers", "those that", "are due")
	end := p.box("strong", 710, 60, 130, "end of turn", "small writes leave,", "one call a stream")
	for _, pair := range [][2]box{{wait, events}, {events, posts}, {posts, timers}, {timers, end}} {
		p.across(pair[0], pair[1], wait.middle())
	}
	p.arrow(end.bottom(50), point{775, 180}, point{85, 180}, wait.bottom(50))
	p.text("note", 430, 172, "what exceeds its share (500 µs or 16,384 pieces of each kind) is for the next turn;")
	p.text("note", 430, 200, "the loop blocks only if nothing is queued")
	p.text("note", 430, 40, "posts, tasks, timers and Stop get through, whatever a single client or task does")
	return p.svg("One turn of a loop")
}

// bytesOwned is who owns which bytes.
func bytesOwned() []byte {
	p := newPicture(860, 390)
	p.text("title left", 30, 30, "Reading")
	kernel := p.box("box", 30, 50, 150, "kernel", "read only when", "somebody asks")
	scratch := p.box("strong", 290, 50, 200, "the loop's scratch buffer", "64 KiB for all its streams")
	callback := p.box("end", 640, 50, 190, "a callback's message", "until it returns; uncopied")
	own := p.box("box", 290, 130, 200, "the stream's own buffer", "pooled; only while it holds", "something")
	waiting := p.box("end", 640, 138, 190, "a waiting call's result", "until the next read")
	p.across(kernel, scratch, scratch.middle())
	p.across(scratch, callback, scratch.middle())
	p.arrow(scratch.bottom(50), own.top(50))
	p.text("note left", 398, 118, "what is left")
	p.across(own, waiting, own.middle())
	p.text("title left", 30, 235, "Writing")
	mine := p.box("end", 30, 255, 170, "your slice", "yours again when Write", "returns")
	small := p.box("box", 290, 247, 200, "the turn's writes", "small ones are copied and", "leave together")
	queue := p.box("box", 290, 327, 200, "the stream's queue", "what the kernel did not take")
	out := p.box("box", 680, 255, 150, "kernel", "WaitSent says when")
	p.across(mine, small, 275)
	p.across(small, out, 275)
	p.text("note", 585, 267, "large ones go at once, uncopied")
	p.arrow(point{200, 303}, point{245, 303}, point{245, queue.middle()}, point{queue.x, queue.middle()})
	p.text("note left", 60, 352, "a copy; a NetConn waits")
	p.text("note left", 60, 368, "in your slice instead")
	p.arrow(point{queue.x + queue.w, queue.middle()}, point{755, queue.middle()}, out.bottom(50))
	return p.svg("Who owns which bytes")
}
