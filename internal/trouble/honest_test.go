//go:build unix

package trouble

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"math/bits"
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

// honesty is what honest clients have seen.
type honesty struct {
	wg sync.WaitGroup

	mu       sync.Mutex
	failures []error
	messages int
	conns    int
	latency  histogram
	slowest  time.Duration // of connecting, until the first answer
}

// startHonest has n clients talk to the server until stop is closed.
func startHonest(addrs []string, n int, stop <-chan struct{}) *honesty {
	h := &honesty{}
	for i := range n {
		h.wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if err := h.talk(addrs[i%len(addrs)], i%len(addrs) == overTLS, stop); err != nil {
					h.mu.Lock()
					h.failures = append(h.failures, err)
					h.mu.Unlock()
					return
				}
			}
		})
	}
	return h
}

func (h *honesty) wait() *honesty {
	h.wg.Wait()
	return h
}

func (h *honesty) String() string {
	return fmt.Sprintf("%d messages over %d connections, answered in %v (median), %v (99 %%), %v (99.9 %%), %v (slowest); slowest first answer %v",
		h.messages, h.conns, h.latency.quantile(0.5), h.latency.quantile(0.99), h.latency.quantile(0.999), h.latency.max, h.slowest)
}

// talk is one conversation: messages, several at a time, whose every byte must
// come back, and an end in good order.
func (h *honesty) talk(addr string, secure bool, stop <-chan struct{}) error {
	began := time.Now()
	conn, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	if secure {
		conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true}) // it is the bytes that count
	}
	answers := bufio.NewReaderSize(conn, 64<<10)
	var seen []time.Duration
	for batch := range 1 + rand.IntN(60) {
		messages := randomLines()
		sent := time.Now()
		if _, err := conn.Write(messages); err != nil {
			return fmt.Errorf("batch %d: %w", batch, err)
		}
		got := make([]byte, len(messages))
		if n, err := io.ReadFull(answers, got); err != nil {
			return fmt.Errorf("batch %d: %d bytes of %d: %w", batch, n, len(got), err)
		}
		if !bytes.Equal(messages, got) {
			return fmt.Errorf("batch %d: other bytes came back", batch)
		}
		if batch == 0 {
			h.connected(time.Since(began))
		} else {
			seen = append(seen, time.Since(sent))
		}
		select {
		case <-stop:
			return h.end(conn, answers, seen)
		case <-time.After(time.Duration(rand.IntN(10)) * time.Millisecond):
		}
	}
	return h.end(conn, answers, seen)
}

// end ends a conversation: nothing may come after the last answer.
func (h *honesty) end(conn net.Conn, answers io.Reader, seen []time.Duration) error {
	if err := conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		return err
	}
	if rest, err := io.ReadAll(answers); err != nil || len(rest) > 0 {
		return fmt.Errorf("at the end: %d bytes more, %w", len(rest), err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.conns++
	h.messages += len(seen)
	for _, d := range seen {
		h.latency.add(d)
	}
	return nil
}

func (h *honesty) connected(took time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.slowest = max(h.slowest, took)
}

// randomLines returns one to four lines of up to 2 KiB together.
func randomLines() []byte {
	var all []byte
	for range 1 + rand.IntN(4) {
		line := make([]byte, rand.IntN(512))
		for i := range line {
			line[i] = byte(' ' + rand.IntN(95))
		}
		all = append(append(all, line...), '\n')
	}
	return all
}

// histogram counts durations in buckets of an eighth of a power of two.
type histogram struct {
	counts [64 * 8]int
	total  int
	max    time.Duration
}

func (h *histogram) add(d time.Duration) {
	n := uint64(max(d, 8))
	shift := bits.Len64(n) - 4
	h.counts[shift*8+int(n>>shift)-8]++
	h.total++
	h.max = max(h.max, d)
}

// quantile returns the lower edge of the bucket that a share q of all lies
// within.
func (h *histogram) quantile(q float64) time.Duration {
	left := int(q * float64(h.total))
	for i, n := range h.counts {
		if left -= n; left < 0 {
			return time.Duration(8+i%8) << (i / 8)
		}
	}
	return h.max
}
