package main

import (
	"bufio"
	"bytes"
	"fmt"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// h2 is HTTP/2, as cheap as it can be had: headers encoded once, windows that
// do not end.
type h2 struct {
	*http2.Framer
	out     *bufio.Writer
	headers []byte
	body    []byte
	stream  uint32 // the next
	room    int64  // that the server gives the connection
	granted int64  // that the server has from us
	settled bool   // the server's settings are there
	decoder *hpack.Decoder
	status  string // of the first answer
}

const (
	frameSize = 16 << 10
	window    = 1 << 30
)

func openHTTP2() (talk, error) {
	c, err := dial("h2")
	if err != nil {
		return nil, err
	}
	h := &h2{out: bufio.NewWriterSize(c, 64<<10), stream: 1, room: 65535, body: make([]byte, frameSize)}
	h.Framer = http2.NewFramer(h.out, bufio.NewReaderSize(c, 64<<10))
	h.SetReuseFrames()
	h.decoder = hpack.NewDecoder(4096, func(f hpack.HeaderField) {
		if f.Name == ":status" {
			h.status = f.Value
		}
	})
	h.headers = requestHeaders()
	_, _ = h.out.WriteString(http2.ClientPreface)
	_ = h.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: window})
	if err := h.grant(window); err != nil {
		return nil, err
	}
	if err := h.out.Flush(); err != nil {
		return nil, err
	}
	for !h.settled {
		if _, err := h.next(); err != nil {
			return nil, err
		}
	}
	if err := h.ask(); err != nil {
		return nil, err
	}
	if h.status != "200" {
		return nil, fmt.Errorf("status %s", h.status)
	}
	return h, nil
}

func requestHeaders() []byte {
	var block bytes.Buffer
	e := hpack.NewEncoder(&block)
	e.SetMaxDynamicTableSize(0) // the same bytes mean the same each time
	method, scheme := "GET", "http"
	if *up > 0 {
		method = "POST"
	}
	if *secure {
		scheme = "https"
	}
	for _, f := range [][2]string{{":method", method}, {":scheme", scheme}, {":authority", "localhost"}, {":path", path()}} {
		_ = e.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
	}
	return block.Bytes()
}

// grant lets the server send n further bytes.
func (h *h2) grant(n int64) error {
	h.granted += n
	return h.WriteWindowUpdate(0, uint32(n))
}

func (h *h2) ask() error {
	left := *depth
	for range *depth {
		err := h.WriteHeaders(http2.HeadersFrameParam{StreamID: h.stream, BlockFragment: h.headers, EndHeaders: true, EndStream: *up == 0})
		if err != nil {
			return err
		}
		for sent := 0; sent < *up; {
			n := min(*up-sent, frameSize)
			for h.room < int64(n) {
				if err := h.out.Flush(); err != nil {
					return err
				}
				ended, err := h.next()
				if err != nil {
					return err
				}
				left -= ended
			}
			sent += n
			h.room -= int64(n)
			if err := h.WriteData(h.stream, sent == *up, h.body[:n]); err != nil {
				return err
			}
		}
		h.stream += 2
	}
	if err := h.out.Flush(); err != nil {
		return err
	}
	for left > 0 {
		ended, err := h.next()
		if err != nil {
			return err
		}
		left -= ended
	}
	return nil
}

// next reads a frame, and returns how many streams it has ended.
func (h *h2) next() (ended int, err error) {
	frame, err := h.ReadFrame()
	if err != nil {
		return 0, err
	}
	switch f := frame.(type) {
	case *http2.SettingsFrame:
		if !f.IsAck() {
			h.settled = true
			_ = h.WriteSettingsAck()
			return 0, h.out.Flush()
		}
	case *http2.PingFrame:
		if !f.IsAck() {
			_ = h.WritePing(true, f.Data)
			return 0, h.out.Flush()
		}
	case *http2.WindowUpdateFrame:
		if f.StreamID == 0 {
			h.room += int64(f.Increment)
		}
	case *http2.HeadersFrame:
		if h.status == "" {
			if _, err := h.decoder.Write(f.HeaderBlockFragment()); err != nil {
				return 0, err
			}
		}
		if f.StreamEnded() {
			ended = 1
		}
	case *http2.DataFrame:
		if f.StreamEnded() {
			ended = 1
		}
		if h.granted -= int64(f.Length); h.granted < window/2 {
			return ended, h.grant(window / 4)
		}
	case *http2.RSTStreamFrame, *http2.GoAwayFrame:
		return 0, fmt.Errorf("the server sent %v", f)
	}
	return ended, nil
}
