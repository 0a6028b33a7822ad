package poller_test

import "github.com/eddyloop/eddy/internal/pollertest"

const newLimits = pollertest.NoEdges | pollertest.NoFD | pollertest.NullPolls
