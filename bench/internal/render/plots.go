package render

import (
	"fmt"
	"image/color"
	"os"
	"path/filepath"
	"slices"

	"github.com/eddyloop/eddy/bench/internal/field"
	"github.com/eddyloop/eddy/bench/internal/stats"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
)

// The names of the plots.
const (
	ratioPlot   = "ratio.png"
	cpuPlot     = "cpu.png"
	latencyPlot = "latency.png"
	memoryPlot  = "memory.png"
	besidePlot  = "beside.png"
	lagPlot     = "lag.png"
)

// plots draws what there are figures for, and returns the names of the files.
func (d *data) plots(dir string) (map[string]bool, error) {
	drawn := map[string]bool{}
	for _, page := range []struct {
		name    string
		tiles   []*plot.Plot
		columns int
		width   vg.Length // of a tile
		height  vg.Length
	}{
		{ratioPlot, d.ratios(), 1, 24, 22},
		{besidePlot, d.besideDots(), 1, 24, 22},
		{lagPlot, d.lagBars(), 1, 22, 12},
		{cpuPlot, d.cpuBars(), 3, 9, 7},
		{latencyPlot, d.latencyCurves(), 2, 14, 9},
		{memoryPlot, d.memoryBars(), 1, 22, 14},
	} {
		if len(page.tiles) == 0 {
			continue
		}
		drawn[page.name] = true
		if err := save(filepath.Join(dir, page.name), page.tiles, page.columns, page.width*vg.Centimeter, page.height*vg.Centimeter); err != nil {
			return nil, err
		}
	}
	return drawn, nil
}

// save draws the tiles row by row into a PNG, whose letters are as wide
// everywhere as the layout takes them to be.
func save(name string, plots []*plot.Plot, columns int, width, height vg.Length) error {
	const gap = 5 * vg.Millimeter
	columns = min(len(plots), columns)
	rows := (len(plots) + columns - 1) / columns
	canvas := vgimg.NewWith(vgimg.UseWH(vg.Length(columns)*width, vg.Length(rows)*height), vgimg.UseDPI(110))
	page := draw.New(canvas)
	tiles := draw.Tiles{Rows: rows, Cols: columns, PadX: gap, PadY: gap,
		PadTop: gap, PadBottom: gap, PadLeft: gap, PadRight: gap}
	for i, p := range plots {
		p.Draw(tiles.At(page, i%columns, i/columns))
	}
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	if _, err := (vgimg.PngCanvas{Canvas: canvas}).WriteTo(f); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

func smallLetters(p *plot.Plot) {
	p.Title.TextStyle.Font.Size = vg.Points(10)
	p.Legend.TextStyle.Font.Size = vg.Points(7)
	for _, axis := range []*plot.Axis{&p.X, &p.Y} {
		axis.Label.TextStyle.Font.Size = vg.Points(8)
		axis.Tick.Label.Font.Size = vg.Points(7.5)
	}
}

// The colours of families; those of latency curves are of servers.
var familyColour = map[field.Family]color.Color{
	field.Limit: color.Gray{90},
	field.Eddy:  color.RGBA{0, 114, 178, 255},
	field.Go:    color.RGBA{230, 159, 0, 255},
	field.Other: color.RGBA{190, 190, 190, 255},
}

// bars makes a plot of horizontal bars, the first on top. Those beyond the
// limit are cut off there; their values are written beside them.
type bars struct {
	*plot.Plot
	names  []string
	labels plotter.XYLabels
	limit  float64
}

func newBars(title, axis string, names []string, limit float64) *bars {
	b := &bars{Plot: plot.New(), names: names, limit: limit}
	b.Title.Text, b.X.Label.Text = title, axis
	smallLetters(b.Plot)
	reversed := slices.Clone(names)
	slices.Reverse(reversed)
	b.NominalY(reversed...)
	b.Y.Min, b.Y.Max = -0.6, float64(len(names))-0.4
	b.X.Min, b.X.Max = 0, limit*1.3
	return b
}

// add draws a bar for a server from 0 to value, at offset rows from its place.
func (b *bars) add(server int, value, offset float64, thickness vg.Length, colour color.Color, label string) error {
	bar, err := plotter.NewBarChart(plotter.Values{min(value, b.limit)}, thickness)
	if err != nil {
		return err
	}
	at := float64(len(b.names)-1-server) + offset
	bar.Horizontal, bar.XMin, bar.Color, bar.LineStyle.Width = true, at, colour, 0
	b.Add(bar)
	b.labels.XYs = append(b.labels.XYs, plotter.XY{X: max(0, min(value, b.limit)) + b.limit*0.01, Y: at})
	if value > b.limit {
		label += ", cut off"
	}
	b.labels.Labels = append(b.labels.Labels, label)
	return nil
}

func (b *bars) finish() (*plot.Plot, error) {
	labels, err := plotter.NewLabels(b.labels)
	if err != nil {
		return nil, err
	}
	for i := range labels.TextStyle {
		labels.TextStyle[i].YAlign = text.YCenter
		labels.TextStyle[i].Font.Size = vg.Points(7)
	}
	b.Add(labels)
	return b.Plot, nil
}

// cpuBars has a tile of CPU for each message for each workload.
func (d *data) cpuBars() (tiles []*plot.Plot) {
	for _, w := range d.workloads() {
		var servers []field.Server
		var costs []float64
		for _, s := range field.Servers {
			if values, _ := d.sample(w.Name, s.Name, cpu); len(values) > 0 && !s.Again {
				servers, costs = append(servers, s), append(costs, stats.Median(values))
			}
		}
		var labels []string
		for _, s := range servers {
			labels = append(labels, s.Name)
		}
		limit := min(slices.Max(costs), 3*slices.Min(costs))
		b := newBars(w.Name, fmt.Sprintf("server CPU, µs for each %s", w.Counted()), labels, limit)
		for i, s := range servers {
			if err := b.add(i, costs[i], 0, vg.Points(8), familyColour[s.Family], num(costs[i])); err != nil {
				return nil
			}
		}
		if p, err := b.finish(); err == nil {
			tiles = append(tiles, p)
		}
	}
	return tiles
}

// memoryBars is one tile: heap and stacks as the runtime counts them, and RSS.
func (d *data) memoryBars() []*plot.Plot {
	var servers []field.Server
	var labels []string
	limit := 0.0
	for _, s := range field.Servers {
		if m := d.idle[""][s.Name]; m != nil {
			servers, labels, limit = append(servers, s), append(labels, s.Name), max(limit, m.RSS, m.Heap+m.Stack)
		}
	}
	if len(servers) == 0 {
		return nil
	}
	limit = min(limit, 16<<10)
	kibibytes := plot.ConstantTicks{{Value: 0, Label: "0"}}
	for v := 4096; v <= int(limit); v += 4096 {
		kibibytes = append(kibibytes, plot.Tick{Value: float64(v), Label: fmt.Sprintf("%d KiB", v>>10)})
	}
	b := newBars("a quiet connection: heap and stack (upper bar, Go only), RSS (lower bar), bytes", "", labels, limit)
	b.X.Tick.Marker = kibibytes
	for i, s := range servers {
		m := d.idle[""][s.Name]
		if s.Family == field.Go || s.Family == field.Eddy {
			if b.add(i, m.Heap+m.Stack, 0.19, vg.Points(4), familyColour[s.Family], whole(m.Heap)+" + "+whole(m.Stack)) != nil {
				return nil
			}
		}
		if b.add(i, m.RSS, -0.19, vg.Points(4), familyColour[field.Other], whole(m.RSS)) != nil {
			return nil
		}
	}
	p, err := b.finish()
	if err != nil {
		return nil
	}
	return []*plot.Plot{p}
}
