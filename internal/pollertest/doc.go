// Package pollertest holds the behaviour that every backend of package poller
// must show.
//
// Left out on purpose: priority (out-of-band) data, which is no Interest since
// kernels disagree about it; EPOLLEXCLUSIVE; flags of accepted descriptors,
// running out of descriptors while accepting, and time limits for connecting,
// which belong to the layers that create sockets; delivery of a one-shot event
// to one of several waiters, since there is only one; and one-shot edges,
// which are no Mode. That event records have the right size and byte order is
// shown by running this suite on machines that differ in them.
package pollertest
