package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
)

// dial connects; protos are for TLS.
func dial(protos ...string) (net.Conn, error) {
	c, err := net.Dial("tcp", *addr)
	if err != nil || !*secure {
		return c, err
	}
	t := tls.Client(c, &tls.Config{InsecureSkipVerify: true, NextProtos: protos})
	return t, t.Handshake()
}

// path is what the servers know.
func path() string {
	switch {
	case *up > 0:
		return "/up"
	case *down > 12:
		return "/down"
	}
	return "/"
}

// http1 is HTTP/1.1. Answers are as long as the first, which net/http's are:
// they differ in the time only.
type http1 struct {
	conn    net.Conn
	request []byte
	buf     []byte
	length  int // of an answer
}

func openHTTP1() (talk, error) {
	h := &http1{buf: make([]byte, 64<<10)}
	method, more := "GET", ""
	if *up > 0 {
		method, more = "POST", fmt.Sprintf("Content-Length: %d\r\n", *up)
	}
	if *once {
		more += "Connection: close\r\n"
	}
	h.request = fmt.Appendf(nil, "%s %s HTTP/1.1\r\nHost: localhost\r\n%s\r\n%s", method, path(), more, make([]byte, *up))
	if *once {
		return h, nil
	}
	var err error
	if h.conn, err = dial("http/1.1"); err != nil {
		return nil, err
	}
	return h, h.first()
}

// first asks once, and learns how long answers are.
func (h *http1) first() error {
	if _, err := h.conn.Write(h.request); err != nil {
		return err
	}
	var seen counter
	r := bufio.NewReader(io.TeeReader(h.conn, &seen))
	answer, err := http.ReadResponse(r, nil)
	if err != nil {
		return err
	}
	n, err := io.Copy(io.Discard, answer.Body)
	if err == nil && (answer.StatusCode != 200 || n != int64(*down)) {
		err = fmt.Errorf("%s with %d bytes", answer.Status, n)
	}
	h.length = int(seen)
	return err
}

type counter int

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

func (h *http1) ask() error {
	if *once {
		return h.askOnce()
	}
	if _, err := h.conn.Write(h.request); err != nil {
		return err
	}
	for got := 0; got < h.length; {
		n, err := h.conn.Read(h.buf[:min(len(h.buf), h.length-got)])
		if err != nil {
			return err
		}
		if got == 0 && !isOK(h.buf[:n]) {
			return fmt.Errorf("wrong answer: %.40q", h.buf[:n])
		}
		got += n
	}
	return nil
}

func (h *http1) askOnce() error {
	c, err := dial("http/1.1")
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := c.Write(h.request); err != nil {
		return err
	}
	got := 0
	for {
		n, err := c.Read(h.buf[got:])
		got += n
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
	}
	if !isOK(h.buf[:got]) || got < 100+*down {
		return fmt.Errorf("wrong answer: %.40q", h.buf[:got])
	}
	return nil
}

func isOK(answer []byte) bool { return bytes.HasPrefix(answer, []byte("HTTP/1.1 200 ")) }

// sink is bytes that are answered with one.
type sink struct {
	conn net.Conn
	body []byte
}

func openSink() (talk, error) {
	c, err := dial()
	return &sink{c, make([]byte, *up)}, err
}

func (s *sink) ask() error {
	if _, err := s.conn.Write(s.body); err != nil {
		return err
	}
	_, err := io.ReadFull(s.conn, s.body[:1])
	return err
}
