package tcp_test

// inheritChild: nothing is inherited on Windows.
func inheritChild() {}
