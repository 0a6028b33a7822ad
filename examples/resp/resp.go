package main

import (
	"bufio"
	"bytes"
	"errors"
	"strconv"
)

var errProtocol = errors.New("resp: protocol error")

const maxArguments = 1024

// splitCommand is a bufio.SplitFunc: a command is an array of bulk strings,
// "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n", or a line of words. What is neither is told as a last,
// empty command, so that it can be answered.
func splitCommand(b []byte, _ bool) (advance int, command []byte, err error) {
	size, err := commandSize(b)
	if err != nil {
		return len(b), []byte{}, bufio.ErrFinalToken
	}
	if size == 0 {
		return 0, nil, nil
	}
	return size, b[:size], nil
}

// commandSize returns 0 if there is less than a command.
func commandSize(b []byte) (int, error) {
	n, end, err := header(b, '*')
	switch {
	case err != nil || end == 0:
		return 0, err
	case n < 0: // a line
		return end, nil
	case n > maxArguments:
		return 0, errProtocol
	}
	for range n {
		size, bodyAt, err := header(b[end:], '$')
		if err != nil || bodyAt == 0 {
			return 0, err
		}
		if size < 0 {
			return 0, errProtocol
		}
		if end += bodyAt + size + 2; end > len(b) {
			return 0, nil // the stream's limit ends what is too long
		}
	}
	return end, nil
}

// header reads a line like "*2\r\n". A line of another kind is n = -1, one that is not
// there yet end = 0.
func header(b []byte, kind byte) (n, end int, err error) {
	end = bytes.IndexByte(b, '\n') + 1
	switch {
	case end == 0 && len(b) > 64<<10:
		return 0, 0, errProtocol
	case end == 0:
		return 0, 0, nil
	case b[0] != kind:
		return -1, end, nil
	}
	n, err = strconv.Atoi(string(bytes.TrimRight(b[1:end], "\r\n")))
	if err != nil || n < 0 || n > 16<<20 {
		return 0, 0, errProtocol
	}
	return n, end, nil
}

// arguments takes a command apart that splitCommand has found.
func arguments(b []byte) [][]byte {
	n, at, _ := header(b, '*')
	if n < 0 {
		return bytes.Fields(b)
	}
	args := make([][]byte, 0, n)
	for range n {
		size, bodyAt, _ := header(b[at:], '$')
		args = append(args, b[at+bodyAt:at+bodyAt+size])
		at += bodyAt + size + 2
	}
	return args
}

func appendBulk(b, value []byte) []byte {
	b = strconv.AppendInt(append(b, '$'), int64(len(value)), 10)
	b = append(append(b, "\r\n"...), value...)
	return append(b, "\r\n"...)
}

func appendInt(b []byte, n int) []byte {
	return append(strconv.AppendInt(append(b, ':'), int64(n), 10), "\r\n"...)
}
