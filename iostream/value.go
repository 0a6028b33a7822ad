package iostream

// Value is a variable of which every stream has one, for what a protocol knows
// of a connection. Declare it in a package:
//
//	var user iostream.Value[string]
//
//	*user.Of(s) = "anna"
//
// A stream that was never asked for its variable has none and pays nothing. The
// address of a Value is its identity: it must not be copied.
type Value[T any] struct{ _ byte } // its address is the key

// valueNode is a Value's variable of one stream.
type valueNode struct {
	key, variable any
	next          *valueNode
}

// Of returns the variable of s, zero at first. It lives as long as something
// refers to the stream, closed or not. Of may be called from any goroutine; the
// caller must guard the variable itself if goroutines other than the stream's
// loop use it.
func (v *Value[T]) Of(s *Stream) *T {
	s.mu.Lock()
	defer s.mu.Unlock()
	if variable := v.find(s); variable != nil {
		return variable
	}
	m, variable := s.ensureDetails(), new(T)
	m.values = &valueNode{key: v, variable: variable, next: m.values}
	return variable
}

// Get returns the variable of s, nil if Of was never called for it: to look through many
// streams without giving each a variable. Otherwise it is as Of.
func (v *Value[T]) Get(s *Stream) *T {
	s.mu.Lock()
	defer s.mu.Unlock()
	return v.find(s)
}

func (v *Value[T]) find(s *Stream) *T {
	if s.details == nil {
		return nil
	}
	for n := s.details.values; n != nil; n = n.next {
		if n.key == any(v) {
			return n.variable.(*T)
		}
	}
	return nil
}
