package iosync

import (
	"context"
	"sync"
)

// Queue passes values from Put to Get, in order. While it is full, Put waits.
// NewQueue makes one.
type Queue[T any] struct {
	room   *Semaphore // what may still be put
	there  *Semaphore // what can be got
	mu     sync.Mutex
	values []T
	closed bool
}

// NewQueue returns a Queue for at most size values, or ErrInvalid if size is
// below 1.
func NewQueue[T any](size int) (*Queue[T], error) {
	room, err := NewSemaphore(size)
	if err != nil {
		return nil, err
	}
	return &Queue[T]{room: room, there: new(Semaphore)}, nil
}

// Put waits for room and adds value to the Queue. After Close it returns
// ErrClosed.
func (q *Queue[T]) Put(ctx context.Context, value T) error {
	if err := q.room.Acquire(ctx); err != nil {
		return err
	}
	return q.add(value)
}

// TryPut is Put without waiting. It reports whether it has added value: it
// returns false if the Queue is full or closed.
func (q *Queue[T]) TryPut(value T) bool { return q.room.TryAcquire() && q.add(value) == nil }

func (q *Queue[T]) add(value T) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		_ = q.room.Release()
		return ErrClosed
	}
	q.values = append(q.values, value)
	q.there.add()
	return nil
}

// Get waits for a value, removes it and returns it. After Close it returns the
// values that are left, then ErrClosed.
func (q *Queue[T]) Get(ctx context.Context) (T, error) {
	if err := q.there.Acquire(ctx); err != nil {
		var none T
		return none, err
	}
	return q.take(), nil
}

// TryGet is Get without waiting. It reports whether there was a value.
func (q *Queue[T]) TryGet() (value T, ok bool) {
	if !q.there.TryAcquire() {
		return value, false
	}
	return q.take(), true
}

func (q *Queue[T]) take() T {
	q.mu.Lock()
	defer q.mu.Unlock()
	value := q.values[0]
	var none T
	q.values[0] = none
	q.values = q.values[1:]
	_ = q.room.Release()
	return value
}

// Len returns how many values are in the Queue.
func (q *Queue[T]) Len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.values)
}

// Close ends the Queue: Put returns ErrClosed, also a Put that waits, and Get
// returns the values that are left, then ErrClosed. A second Close does
// nothing.
func (q *Queue[T]) Close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.room.end(ErrClosed)
	q.there.end(ErrClosed)
}
