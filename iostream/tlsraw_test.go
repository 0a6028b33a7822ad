//go:build unix || windows

package iostream_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/iostreamtest"
	"github.com/stretchr/testify/require"
)

// A record that was tampered with ends the stream; what came before it counts,
// and the peer is told.
func TestBadRecord(t *testing.T) {
	eachVersion(t, func(t *testing.T, version uint16) {
		s, m, peer, secured := secureSim(t, version, nil)
		peer.setHold(true)
		send(t, secured, "good", "evil")
		data := []byte(peer.take())
		data[len(data)-1] ^= 1
		m.Arrive(data)
		r := receive(t, faces[2].read(t, s, exactly(8)))
		require.ErrorContains(t, r.err, "bad record MAC")
		got, err := s.Read(patient(t), iostream.Bytes(4))
		require.NoError(t, err)
		require.Equal(t, "good", string(got))
		_, err = secured.Read(make([]byte, 1))
		require.ErrorContains(t, err, "remote error: tls: bad record MAC")
	})
}

// rawTLS is TLS 1.3 by hand, from the secrets of a handshake on: it sends what
// crypto/tls cannot be made to (RFC 8446, sections 5.2 and 7).
type rawTLS struct {
	t        testing.TB
	sim      *iostreamtest.Wire
	out, in  rawKeys
	received int // bytes of sim.out
}

type rawKeys struct {
	secret []byte
	aead   cipher.AEAD
	iv     []byte
	seq    uint64
}

const typeAlert, typeHandshake, typeData = 21, 22, 23

var keyUpdate = map[bool]string{false: "\x18\x00\x00\x01\x00", true: "\x18\x00\x00\x01\x01"} // answer requested

func (k *rawKeys) use(secret []byte) {
	label := func(name string, n int) []byte {
		info := binary.BigEndian.AppendUint16(nil, uint16(n))
		info = append(info, byte(len("tls13 "+name)))
		info = append(info, "tls13 "+name+"\x00"...)
		b, err := hkdf.Expand(sha256.New, secret, string(info), n)
		if err != nil {
			panic(err)
		}
		return b
	}
	block, _ := aes.NewCipher(label("key", 16))
	aead, _ := cipher.NewGCM(block)
	*k = rawKeys{secret: label("traffic upd", 32), aead: aead, iv: label("iv", 12)}
}

func (k *rawKeys) update() { k.use(k.secret) }

func (k *rawKeys) nonce() []byte {
	nonce := bytes.Clone(k.iv)
	binary.BigEndian.PutUint64(nonce[4:], binary.BigEndian.Uint64(nonce[4:])^k.seq)
	k.seq++
	return nonce
}

// newRawTLS returns a stream and a peer that has shaken hands.
func newRawTLS(t testing.TB, config *iostream.Config) (*iostream.Stream, *rawTLS) {
	m := iostreamtest.NewWire(iostreamtest.Options{})
	s, err := iostream.New(startLoop(t, ioloop.Config{}), m.Transport(), config)
	require.NoError(t, err)
	peer := &simPeer{sim: m}
	raw := newRawTLSOver(t, s, peer)
	raw.sim, raw.received = m, peer.read
	return s, raw
}

// newRawTLSOver has s shake hands with its peer.
func newRawTLSOver(t testing.TB, s *iostream.Stream, peer net.Conn) *rawTLS {
	var keys bytes.Buffer
	client := clientConfig(tls.VersionTLS13)
	client.KeyLogWriter = &keys
	server := serverConfig(tls.VersionTLS13)
	server.SessionTicketsDisabled = true
	secured := tls.Client(peer, client)
	done := make(chan error, 1)
	go func() { done <- secured.Handshake() }()
	require.NoError(t, s.StartTLS(patient(t), iostream.TLSServer(server)))
	require.NoError(t, receive(t, done))
	if secured.ConnectionState().CipherSuite != tls.TLS_AES_128_GCM_SHA256 {
		t.Skip("the test knows AES-128-GCM only")
	}
	raw := &rawTLS{t: t}
	for line := range strings.Lines(keys.String()) {
		fields := strings.Fields(line)
		secret, _ := hex.DecodeString(fields[2])
		switch fields[0] {
		case "CLIENT_TRAFFIC_SECRET_0":
			raw.out.use(secret)
		case "SERVER_TRAFFIC_SECRET_0":
			raw.in.use(secret)
		}
	}
	return raw
}

func (r *rawTLS) record(kind byte, content string) string {
	n := len(content) + 1 + r.out.aead.Overhead()
	header := []byte{23, 3, 3, byte(n >> 8), byte(n)}
	return string(r.out.aead.Seal(header, r.out.nonce(), append([]byte(content), kind), header))
}

func (r *rawTLS) send(kind byte, content string) { r.sim.Arrive([]byte(r.record(kind, content))) }

// receive returns the next record of the stream's.
func (r *rawTLS) receive() (kind byte, content string) {
	r.t.Helper()
	var record string
	for end := time.Now().Add(patience); record == ""; time.Sleep(50 * time.Microsecond) {
		require.True(r.t, time.Now().Before(end), "no record has come")
		if out := r.sim.Sent()[r.received:]; len(out) >= 5 {
			if n := 5 + int(out[3])<<8 + int(out[4]); len(out) >= n {
				record = out[:n]
			}
		}
	}
	r.received += len(record)
	return r.open(record)
}

func (r *rawTLS) open(record string) (kind byte, content string) {
	r.t.Helper()
	b, err := r.in.aead.Open(nil, r.in.nonce(), []byte(record[5:]), []byte(record[:5]))
	require.NoError(r.t, err)
	return b[len(b)-1], string(b[:len(b)-1])
}

// Keys are changed while a read waits; the answer to a request leaves although
// nobody writes.
func TestKeyUpdate(t *testing.T) {
	for _, chunk := range []int{0, 1} {
		s, raw := newRawTLS(t, nil)
		raw.sim.SetReadSize(chunk)
		pending := faces[2].read(t, s, until("\n", 0))
		for range 10 {
			raw.send(typeHandshake, keyUpdate[true])
			raw.out.update()
			raw.send(typeData, "x")
			kind, content := raw.receive()
			require.Equal(t, byte(typeHandshake), kind)
			require.Equal(t, keyUpdate[false], content)
			raw.in.update()
		}
		raw.send(typeHandshake, keyUpdate[false])
		raw.out.update()
		raw.send(typeData, "\n")
		require.Equal(t, "xxxxxxxxxx\n", receive(t, pending).data)
		_, _ = s.Write([]byte("still here"))
		_, content := raw.receive()
		require.Equal(t, "still here", content)
	}
}

// A message of the protocol is spread over records, and these over arrivals.
func TestKeyUpdateInFragments(t *testing.T) {
	s, raw := newRawTLS(t, nil)
	pending := faces[2].read(t, s, exactly(4))
	for i := range keyUpdate[true] {
		for _, b := range []byte(raw.record(typeHandshake, keyUpdate[true][i:i+1])) {
			raw.sim.Arrive([]byte{b})
			quiet(t, s.Loop())
		}
	}
	raw.out.update()
	_, content := raw.receive()
	require.Equal(t, keyUpdate[false], content)
	raw.send(typeData, "data")
	require.Equal(t, "data", receive(t, pending).data)
}

// The answer to a request cannot leave at once: it does when it can, and in
// order with what is written.
func TestKeyUpdateWhileBlocked(t *testing.T) {
	s, raw := newRawTLS(t, nil)
	raw.sim.SetWindow(iostreamtest.NoWindow)
	pending := faces[2].read(t, s, exactly(1))
	_, _ = s.Write([]byte("before"))
	quiet(t, s.Loop()) // it is encrypted now, with the first keys
	raw.send(typeHandshake, keyUpdate[true])
	raw.out.update()
	raw.send(typeData, "x")
	require.Equal(t, "x", receive(t, pending).data)
	_, _ = s.Write([]byte("after"))
	raw.sim.AddWindow(1 << 20)
	_, content := raw.receive()
	require.Equal(t, "before", content)
	_, content = raw.receive()
	require.Equal(t, keyUpdate[false], content)
	raw.in.update()
	_, content = raw.receive()
	require.Equal(t, "after", content)
}

// A peer that asks for answers and does not read them is not read from either:
// what waits for it does not grow without bound. When it reads, all goes on.
func TestKeyUpdateFlood(t *testing.T) {
	s, raw := newRawTLS(t, nil)
	raw.sim.SetWindow(iostreamtest.NoWindow)
	const requests = 20_000
	var flood strings.Builder
	for range requests {
		flood.WriteString(raw.record(typeHandshake, keyUpdate[true]))
		raw.out.update()
		flood.WriteString(raw.record(typeData, "x"))
	}
	raw.sim.Arrive([]byte(flood.String()))
	pending := faces[2].read(t, s, exactly(requests))
	quiet(t, s.Loop())
	left := raw.sim.State().Arrived
	require.Greater(t, left, flood.Len()-400<<10, "it goes on reading")
	eventually(t, func() bool { // it does not spin
		reads := raw.sim.State().Reads
		quiet(t, s.Loop())
		return reads == raw.sim.State().Reads
	})
	raw.sim.AddWindow(1 << 30)
	require.Len(t, receive(t, pending).data, requests)
}

// Messages that bring nothing may come one after the other for a while, not for
// ever.
func TestUselessRecords(t *testing.T) {
	s, raw := newRawTLS(t, nil)
	pending := faces[2].read(t, s, exactly(1))
	for range 100 {
		raw.send(typeData, "")
	}
	require.ErrorContains(t, receive(t, pending).err, "too many")
	require.NoError(t, s.WaitClosed(patient(t)))
}

// After our close_notify nothing follows, not even an answer.
func TestKeyUpdateAfterCloseWrite(t *testing.T) {
	s, raw := newRawTLS(t, nil)
	require.NoError(t, s.CloseWrite())
	kind, _ := raw.receive()
	require.Equal(t, byte(typeAlert), kind)
	const requests = 5000 // whose answers would be more than may wait
	pending := faces[2].read(t, s, exactly(requests))
	for range requests {
		raw.send(typeHandshake, keyUpdate[true])
		raw.out.update()
		raw.send(typeData, "x")
	}
	require.Len(t, receive(t, pending).data, requests)
	quiet(t, s.Loop())
	require.Len(t, raw.sim.Sent(), raw.received)
}

// So it is if a goroutine comes upon the request itself, in what TLS has received.
func TestKeyUpdateReadByAGoroutine(t *testing.T) {
	l := startLoop(t, ioloop.Config{})
	s, peer := pair(t, l, "tcp", nil)
	raw := newRawTLSOver(t, s, peer)
	send(t, peer, raw.record(typeData, "onetwo")+raw.record(typeHandshake, keyUpdate[true]))
	for _, want := range []string{"one", "two"} {
		p := make([]byte, len(want))
		_, err := s.ReadAtLeast(patient(t), p, len(p))
		require.NoError(t, err)
		require.Equal(t, want, string(p))
		quiet(t, l)
	}
	require.True(t, iostream.KnowsOfInput(s))
	read := make(chan error, 1)
	go func() { _, err := s.ReadAtLeast(patient(t), make([]byte, 1), 1); read <- err }()
	answer := make([]byte, len(raw.record(typeHandshake, keyUpdate[false])))
	require.NoError(t, peer.SetReadDeadline(time.Now().Add(patience)))
	_, err := io.ReadFull(peer, answer)
	require.NoError(t, err)
	_, content := raw.open(string(answer))
	require.Equal(t, keyUpdate[false], content)
	require.NoError(t, peer.Close())
	require.Error(t, receive(t, read))
}
