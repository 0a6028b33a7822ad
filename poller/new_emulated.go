//go:build linux && eddy_kqueue

package poller

import (
	"os"

	"github.com/eddyloop/eddy/internal/kqueuesim"
)

// New returns a Poller over an emulated kqueue: that of the system which the
// environment names, and of FreeBSD by default. It is for tests.
func New() (Poller, error) {
	system := kqueuesim.FreeBSD
	for _, p := range kqueuesim.Profiles {
		if p.Name == os.Getenv("EDDY_KQUEUE") {
			system = p
		}
	}
	// The wake-up is that of the native backend.
	return newEmulated(system, system != kqueuesim.Darwin && system != kqueuesim.FreeBSD && system != kqueuesim.DragonFly)
}
