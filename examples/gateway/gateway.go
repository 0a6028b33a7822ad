package main

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"sort"
	"strconv"
	"sync"
	"time"

	"github.com/gobwas/ws"

	"github.com/eddyloop/eddy/examples/websocket/wsconn"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
)

const (
	kept       = 1000    // messages, for clients that come back
	batch      = 100     // of these are sent at once
	maxBacklog = 8 << 20 // bytes, for a client that does not read
)

const tryAgainLater ws.StatusCode = 1013

// message is what everybody gets. Its ID is its author's: what has been said with one ID is
// one message, however often it was said.
type message struct {
	Seq  uint64 `json:"seq,omitempty"`
	ID   string `json:"id"`
	Text string `json:"text"`
}

// hello is the first that a client gets. Missed says that messages are gone which it asks
// for.
type hello struct {
	Gateway string `json:"gateway"`
	You     string `json:"you"`
	Seq     uint64 `json:"seq"`
	Missed  bool   `json:"missed,omitempty"`
}

type gateway struct {
	name  string
	group *ioloop.Group
	bus   *bus

	mu     sync.Mutex
	recent []recentMessage // in order
}

type recentMessage struct {
	seq   uint64
	frame []byte
}

// member is what is known of a client, on its loop.
type member struct {
	joined bool
	last   uint64 // message that it was sent
}

var memberOf iostream.Value[member]

// join sends what the client has missed. It names the last message that it has seen in its
// URL: "/?after=12".
func (g *gateway) join(t *ioloop.Task, c *wsconn.Conn, r *http.Request) error {
	first, last := g.bounds()
	after, err := strconv.ParseUint(r.URL.Query().Get("after"), 10, 64)
	if err != nil { // a new client
		after = last
	}
	greeting, err := json.Marshal(hello{Gateway: g.name, You: c.RemoteAddr().String(), Seq: after, Missed: after+1 < first})
	if err != nil {
		return err
	}
	if err := c.Send(greeting); err != nil {
		return err
	}
	for missed := g.since(after); len(missed) > 0; missed = g.since(after) {
		for _, m := range missed {
			if _, err := c.Write(m.frame); err != nil {
				return err
			}
			after = m.seq
		}
		if err := c.Room(t); err != nil {
			return err
		}
	}
	*memberOf.Of(c.Stream) = member{joined: true, last: after}
	return nil
}

// bounds returns the numbers of the first and the last message that are kept.
func (g *gateway) bounds() (first, last uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.recent) == 0 {
		return 0, 0
	}
	return g.recent[0].seq, g.recent[len(g.recent)-1].seq
}

// since returns the next messages behind one.
func (g *gateway) since(after uint64) []recentMessage {
	g.mu.Lock()
	defer g.mu.Unlock()
	i := sort.Search(len(g.recent), func(i int) bool { return g.recent[i].seq > after })
	return slices.Clone(g.recent[i:min(i+batch, len(g.recent))])
}

const publishTimeout = 10 * time.Second

// say publishes what a client says. That waits for NATS and holds nobody up but this client.
func (g *gateway) say(t *ioloop.Task, c *wsconn.Conn, text []byte) error {
	var m message
	if err := json.Unmarshal(text, &m); err != nil || m.ID == "" {
		return c.Shut(ws.StatusUnsupportedData, `say {"id":"…","text":"…"}`)
	}
	_, err := ioloop.Await(t, func() (struct{}, error) {
		ctx, cancel := context.WithTimeout(context.Background(), publishTimeout)
		defer cancel()
		return struct{}{}, g.bus.publish(ctx, m)
	})
	if err != nil {
		_ = c.Shut(tryAgainLater, "message was not taken")
	}
	return err
}

// deliver is called with each message, on a goroutine of the bus. A client that joins
// meanwhile gets it by join or by the function that is posted: the number tells.
func (g *gateway) deliver(m message) error {
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	frame := wsconn.Text(text)
	g.mu.Lock()
	g.recent = append(g.recent, recentMessage{m.Seq, frame})
	if len(g.recent) > kept {
		g.recent = g.recent[len(g.recent)-kept:]
	}
	g.mu.Unlock()
	g.each(func(c *wsconn.Conn) {
		member := memberOf.Of(c.Stream)
		switch {
		case !member.joined || m.Seq <= member.last:
		case c.Backlog() > maxBacklog:
			_ = c.Shut(ws.StatusPolicyViolation, "you read too slowly")
		default:
			member.last = m.Seq
			_, _ = c.Write(frame)
		}
	})
	return nil
}

// each calls fn for all WebSockets, each on its loop.
func (g *gateway) each(fn func(*wsconn.Conn)) {
	for _, l := range g.group.Loops() {
		_ = l.Post(func() {
			for s := range iostream.Streams(l) {
				if c := wsconn.Of(s); c != nil {
					fn(c)
				}
			}
		})
	}
}
