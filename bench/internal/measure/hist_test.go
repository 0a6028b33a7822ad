package measure

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// hist.h only counts; what it counted is to mean the same to the library as
// what the library counts itself, from 1 ns to minutes.
func TestHistogramOfTheLoad(t *testing.T) {
	gcc, err := exec.LookPath("gcc")
	if err != nil {
		t.Skip("there is no gcc")
	}
	dir := t.TempDir()
	source, program := filepath.Join(dir, "main.c"), filepath.Join(dir, "main")
	header, err := os.ReadFile("../../load/hist.h")
	if err != nil {
		t.Fatal(err)
	}
	const main = `
static struct hist h;
int main(void)
{
	for (long long v = 1; v < 600000000000ll; v += 1 + v / 100)
		hist_record(&h, v, 1 + v % 3);
	hist_print(&h, stdout);
}
`
	if err := os.WriteFile(source, append(header, main...), 0o666); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(gcc, "-Wall", "-o", program, source).CombinedOutput(); err != nil {
		t.Fatal(string(out))
	}
	out, err := exec.Command(program).Output()
	if err != nil {
		t.Fatal(err)
	}
	var buckets [][2]int64
	if err := json.NewDecoder(strings.NewReader(string(out))).Decode(&buckets); err != nil {
		t.Fatal(err)
	}
	got, want := hdrhistogram.New(1, int64(20*time.Minute), 3), hdrhistogram.New(1, int64(20*time.Minute), 3)
	for _, b := range buckets {
		if err := got.RecordValues(b[0], b[1]); err != nil {
			t.Fatal(err)
		}
	}
	for v := int64(1); v < 600_000_000_000; v += 1 + v/100 {
		if err := want.RecordValues(v, 1+v%3); err != nil {
			t.Fatal(err)
		}
	}
	if got.TotalCount() != want.TotalCount() {
		t.Errorf("%d values, want %d", got.TotalCount(), want.TotalCount())
	}
	for q := 0.5; q <= 100; q += 0.5 {
		g, w := float64(got.ValueAtQuantile(q)), float64(want.ValueAtQuantile(q))
		if max(g, w)-min(g, w) > w/200 {
			t.Errorf("quantile %.1f %%: %.0f ns, want %.0f", q, g, w)
		}
	}
}
