package main

import (
	"context"
	"encoding/json"
	"errors"
	"log"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

type busOptions struct {
	urls     string // none: a server in this process
	listen   string
	store    string
	replicas int
}

const (
	stream  = "GATEWAY"
	subject = "gateway.room"
)

// bus brings messages to all gateways, in one order. It is a stream of NATS's JetStream.
type bus struct {
	server    *server.Server // nil: it is elsewhere
	temporary string         // folder to be removed
	conn      *nats.Conn
	jet       jetstream.JetStream
	stream    jetstream.Stream
	stop      func()
}

func openBus(ctx context.Context, o busOptions) (*bus, error) {
	b := &bus{stop: func() {}}
	settings := []nats.Option{nats.MaxReconnects(-1), nats.ReconnectWait(100 * time.Millisecond), nats.RetryOnFailedConnect(true)}
	if o.urls == "" {
		if err := b.startServer(o); err != nil {
			b.close()
			return nil, err
		}
		settings = append(settings, nats.InProcessServer(b.server))
	}
	var err error
	if b.conn, err = nats.Connect(o.urls, settings...); err == nil {
		b.jet, err = jetstream.New(b.conn)
	}
	if err == nil {
		b.stream, err = b.openStream(ctx, o.replicas)
	}
	if err != nil {
		b.close()
		return nil, err
	}
	return b, nil
}

// openStream waits for a NATS server that is about to start.
func (b *bus) openStream(ctx context.Context, replicas int) (jetstream.Stream, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		s, err := b.jet.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
			Name: stream, Subjects: []string{subject}, MaxMsgs: kept, Replicas: replicas,
			Duplicates: 2 * time.Minute, // for so long, what has one ID is one message
		})
		if err == nil || ctx.Err() != nil {
			return s, err
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func (b *bus) startServer(o busOptions) error {
	settings := &server.Options{JetStream: true, StoreDir: o.store, NoSigs: true, DontListen: o.listen == ""}
	if o.store == "" {
		var err error
		if b.temporary, err = os.MkdirTemp("", "gateway"); err != nil {
			return err
		}
		settings.StoreDir = b.temporary
	}
	if o.listen != "" {
		host, port, err := net.SplitHostPort(o.listen)
		if err != nil {
			return err
		}
		settings.Host = host
		if settings.Port, err = strconv.Atoi(port); err != nil {
			return err
		}
	}
	var err error
	if b.server, err = server.NewServer(settings); err != nil {
		return err
	}
	go b.server.Start()
	if !b.server.ReadyForConnections(30 * time.Second) {
		return errors.New("gateway: the NATS server does not start")
	}
	return nil
}

// publish returns when NATS has the message.
func (b *bus) publish(ctx context.Context, m message) error {
	data, err := json.Marshal(m)
	if err != nil {
		return err
	}
	_, err = b.jet.Publish(ctx, subject, data, jetstream.WithMsgID(m.ID))
	return err
}

// follow calls fn with each message that is kept, and with all that come, in order. It
// returns when those are through that there were.
func (b *bus) follow(ctx context.Context, fn func(message) error) error {
	info, err := b.stream.Info(ctx)
	if err != nil {
		return err
	}
	consumer, err := b.stream.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{DeliverPolicy: jetstream.DeliverAllPolicy})
	if err != nil {
		return err
	}
	through := make(chan struct{})
	if info.State.Msgs == 0 {
		close(through)
	}
	consuming, err := consumer.Consume(func(msg jetstream.Msg) {
		about, err := msg.Metadata()
		var m message
		if err == nil {
			err = json.Unmarshal(msg.Data(), &m)
		}
		if err == nil {
			m.Seq = about.Sequence.Stream
			err = fn(m)
		}
		if err != nil {
			log.Print("message left out: ", err)
		}
		if about != nil && about.Sequence.Stream == info.State.LastSeq && info.State.Msgs > 0 {
			close(through)
		}
	})
	if err != nil {
		return err
	}
	b.stop = consuming.Stop
	select {
	case <-through:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (b *bus) close() {
	b.stop()
	if b.conn != nil {
		b.conn.Close()
	}
	if b.server != nil {
		b.server.Shutdown()
		b.server.WaitForShutdown()
	}
	if b.temporary != "" {
		_ = os.RemoveAll(b.temporary)
	}
}
