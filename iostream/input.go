package iostream

// input is what a stream has received and not yet given to a reader: contiguous
// bytes with a head offset. A stream that has none owns no memory.
//
// During a pump the bytes may be borrowed: they stand in the loop's scratch
// buffer and must be moved to a buffer of the stream's own before anything else
// reads into that.
type input struct {
	data     []byte // unread from head on
	head     int32  // Config.check keeps limits below 2 GiB
	borrowed bool
	lent     bool // the last waiting read's caller may hold bytes of data
	pinned   bool // a callback in progress may
	kept     bool // a message's function may, whatever is read meanwhile
}

// largeRoom is the room in an owned buffer from which on reading into it
// directly beats reading into the scratch buffer and copying what came.
const largeRoom = 16 << 10

func (in *input) len() int { return len(in.data) - int(in.head) }

func (in *input) bytes() []byte { return in.data[in.head:] }

// take consumes n bytes and returns them. They stay as they are until the next
// release, reserve or append.
func (in *input) take(n int) []byte {
	start := int(in.head)
	in.head += int32(n)
	return in.data[start : start+n : start+n]
}

// release gives up a buffer that has been read to its end, unless somebody may
// hold bytes of it: then it stays for a later release.
func (in *input) release() {
	if in.data == nil || in.len() > 0 || in.lent || in.pinned || in.kept {
		return
	}
	in.recycle()
	*in = input{}
}

// recycle gives a buffer of the stream's own back, unless a message is in it. Nobody
// else holds bytes of it: input is received for a pending read alone, which has
// ended the life of the last result, and not while a callback runs.
func (in *input) recycle() {
	if !in.borrowed && !in.kept {
		putBuffer(in.data)
	}
}

// borrow makes b, part of the scratch buffer, the input. There must be none.
func (in *input) borrow(b []byte) { *in = input{data: b, borrowed: true, pinned: in.pinned} }

// own moves borrowed bytes to a buffer of the stream's own.
func (in *input) own() {
	if in.borrowed {
		in.copyOut()
	}
}

func (in *input) copyOut() {
	rest := in.bytes()
	*in = input{pinned: in.pinned}
	if len(rest) > 0 {
		in.data = append(getBuffer(len(rest)), rest...)
	}
}

// settle is own and release, after a delivery.
func (in *input) settle() {
	if in.borrowed && in.len() == 0 { // nearly always
		*in = input{pinned: in.pinned}
		return
	}
	in.own()
	in.release()
}

// append adds a copy of b.
func (in *input) append(b []byte) {
	in.own()
	in.reserve(len(b), maxSlack)
	in.data = append(in.data, b...)
}

// room returns the free space at the tail.
func (in *input) room() []byte { return in.data[len(in.data):cap(in.data)] }

// reserve makes room for n bytes at the tail: it slides the bytes to the front
// if that at least halves what is in use, and else moves them to a buffer of
// twice the size or more, or of most bytes if that is less and enough. Either way
// a byte is moved a bounded number of times.
func (in *input) reserve(n, most int) {
	if cap(in.data)-len(in.data) >= n {
		return
	}
	rest := in.bytes()
	if !in.kept && in.len()+n <= cap(in.data) && int(in.head) >= len(rest) {
		in.data = in.data[:copy(in.data[:len(rest)], rest)]
		in.head = 0
		return
	}
	in.grow(max(in.len()+n, min(2*cap(in.data), in.len()+n+maxSlack, most)))
}

// maxSlack bounds the room that doubling adds to a large buffer. It is so large
// that growing by it still costs little for each byte.
const maxSlack = 64 << 20

// exactly makes room for n more bytes and no others.
func (in *input) exactly(n int) {
	if len(in.room()) < n {
		in.grow(in.len() + n)
	}
}

// grow moves the bytes to a buffer with room for size bytes in all.
func (in *input) grow(size int) {
	moved := append(getBuffer(size), in.bytes()...)
	in.recycle()
	*in = input{data: moved, pinned: in.pinned}
}
