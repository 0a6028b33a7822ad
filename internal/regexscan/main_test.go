package regexscan

import (
	"testing"

	"github.com/eddyloop/eddy/internal/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }
