package main

import (
	"bytes"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/eddyloop/eddy/ioloop"
)

// store is what is stored under each key. It belongs to one loop.
type store map[string]*entry

type entry struct {
	value   []byte
	expiry  *ioloop.Timer // nil: never
	expires time.Time
}

const (
	ok           = "+OK\r\n"
	none         = "$-1\r\n"
	notAnInteger = "-ERR value is not an integer or out of range\r\n"
	syntaxError  = "-ERR syntax error\r\n"
)

// execute appends the answer to a command to b.
func (db store) execute(l *ioloop.Loop, b []byte, args [][]byte) []byte {
	if len(args) == 0 {
		return b
	}
	name, args := strings.ToUpper(string(args[0])), args[1:]
	switch {
	case name == "PING" && len(args) == 0:
		return append(b, "+PONG\r\n"...)
	case (name == "PING" || name == "ECHO") && len(args) == 1:
		return appendBulk(b, args[0])
	case name == "GET" && len(args) == 1:
		if e := db[string(args[0])]; e != nil {
			return appendBulk(b, e.value)
		}
		return append(b, none...)
	case name == "SET" && (len(args) == 2 || len(args) == 4):
		return append(b, db.set(l, args)...)
	case name == "DEL" && len(args) > 0:
		return appendInt(b, db.each(args, db.remove))
	case name == "EXISTS" && len(args) > 0:
		return appendInt(b, db.each(args, func(string) {}))
	case name == "INCR" && len(args) == 1:
		return db.increment(b, string(args[0]))
	case name == "EXPIRE" && len(args) == 2:
		return db.expireIn(l, b, string(args[0]), args[1])
	case name == "TTL" && len(args) == 1:
		return appendInt(b, db.timeToLive(string(args[0])))
	}
	return append(b, "-ERR unknown command or wrong number of arguments\r\n"...)
}

func (db store) set(l *ioloop.Loop, args [][]byte) string {
	var d time.Duration
	if len(args) == 4 {
		var valid bool
		if d, valid = seconds(args[3]); !valid || d <= 0 {
			return "-ERR invalid expire time in 'set' command\r\n"
		}
		if !strings.EqualFold(string(args[2]), "EX") {
			return syntaxError
		}
	}
	key := string(args[0])
	db.remove(key)
	db[key] = &entry{value: bytes.Clone(args[1])} // the bytes of a message are lent
	if d > 0 {
		db.expire(l, key, d)
	}
	return ok
}

// each calls fn for those of the keys that there are, and returns how many.
func (db store) each(keys [][]byte, fn func(key string)) (n int) {
	for _, key := range keys {
		if db[string(key)] != nil {
			fn(string(key))
			n++
		}
	}
	return n
}

func (db store) remove(key string) {
	if e := db[key]; e != nil && e.expiry != nil {
		e.expiry.Stop()
	}
	delete(db, key)
}

func (db store) increment(b []byte, key string) []byte {
	e := db[key]
	if e == nil {
		e = &entry{value: []byte("0")}
	}
	n, err := strconv.Atoi(string(e.value))
	if err != nil || n == math.MaxInt {
		return append(b, notAnInteger...)
	}
	e.value = strconv.AppendInt(e.value[:0], int64(n+1), 10)
	db[key] = e
	return appendInt(b, n+1)
}

func (db store) expireIn(l *ioloop.Loop, b []byte, key string, arg []byte) []byte {
	d, valid := seconds(arg)
	switch {
	case !valid:
		return append(b, notAnInteger...)
	case db[key] == nil:
		return appendInt(b, 0)
	case d <= 0:
		db.remove(key)
	default:
		db.expire(l, key, d)
	}
	return appendInt(b, 1)
}

func (db store) expire(l *ioloop.Loop, key string, d time.Duration) {
	e := db[key]
	if e.expiry != nil {
		e.expiry.Stop()
	}
	e.expires, e.expiry = time.Now().Add(d), l.AfterFunc(d, func() { delete(db, key) })
}

// timeToLive is in seconds; -1 for ever, -2 without such a key.
func (db store) timeToLive(key string) int {
	switch e := db[key]; {
	case e == nil:
		return -2
	case e.expiry == nil:
		return -1
	default:
		return int(math.Round(time.Until(e.expires).Seconds()))
	}
}

func seconds(b []byte) (time.Duration, bool) {
	n, err := strconv.Atoi(string(b))
	return time.Duration(n) * time.Second, err == nil && n < math.MaxInt32 && n > math.MinInt32
}
