package render

import (
	"fmt"
	"image/color"
	"math"
	"slices"

	"github.com/eddyloop/eddy/bench/internal/field"
	"github.com/eddyloop/eddy/bench/internal/measure"
	"github.com/eddyloop/eddy/bench/internal/stats"
	"github.com/eddyloop/eddy/bench/internal/workload"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// series is what is drawn of a server, in a colour that tells it from the others.
type series struct {
	server string
	colour color.Color
}

var (
	blue, sky     = color.RGBA{0, 114, 178, 255}, color.RGBA{86, 180, 233, 255}
	orange, red   = color.RGBA{230, 159, 0, 255}, color.RGBA{213, 94, 0, 255}
	pink, green   = color.RGBA{204, 121, 167, 255}, color.RGBA{0, 158, 115, 255}
	olive, yellow = color.RGBA{160, 140, 30, 255}, color.RGBA{200, 190, 20, 255}
)

// curved are the workloads whose latencies are drawn, curves the servers.
var (
	curved = []string{"line-c100", "line-c1000", "raw-10k", "open"}
	curves = []series{{"cepoll", color.Gray{60}}, {"eddy-callback", blue}, {"eddy-task", sky},
		{"net-4k", orange}, {"gnet", red}, {"netpoll", pink}}
)

func (d *data) latencyCurves() (tiles []*plot.Plot) {
	for _, name := range curved {
		if len(d.cells[name]) == 0 {
			continue
		}
		p := plot.New()
		p.Title.Text, p.X.Label.Text, p.Y.Label.Text = name, "share of messages that took no longer", "latency, ms"
		smallLetters(p)
		p.X.Scale, p.Y.Scale, p.Y.Tick.Marker = plot.LogScale{}, plot.LogScale{}, decades{}
		p.X.Tick.Marker = plot.ConstantTicks{{Value: 2, Label: "50 %"}, {Value: 10, Label: "90 %"}, {Value: 100, Label: "99 %"},
			{Value: 1000, Label: "99.9 %"}, {Value: 10000, Label: "99.99 %"}}
		p.Legend.Top, p.Legend.Left, p.Legend.XOffs, p.Legend.Padding = true, true, vg.Points(8), vg.Points(1.5)
		p.Add(plotter.NewGrid())
		for _, c := range curves {
			points := d.curve(name, c.server)
			if len(points) == 0 {
				continue
			}
			line, err := plotter.NewLine(points)
			if err != nil {
				return nil
			}
			line.Color, line.Width = c.colour, vg.Points(1.6)
			p.Add(line)
			p.Legend.Add(c.server, line)
		}
		p.Y.Max *= 4 // room for the legend
		tiles = append(tiles, p)
	}
	return tiles
}

// decades ticks a logarithmic axis at 1, 2 and 5.
type decades struct{}

func (decades) Ticks(low, high float64) (ticks []plot.Tick) {
	for e := math.Floor(math.Log10(low)); e <= math.Ceil(math.Log10(high)); e++ {
		for _, m := range []float64{1, 2, 5} {
			if v := m * math.Pow(10, e); v >= low && v <= high {
				ticks = append(ticks, plot.Tick{Value: v, Label: fmt.Sprintf("%.3g", v)})
			}
		}
	}
	return ticks
}

// curve has the median of the rounds at each quantile, over 1/(1-quantile).
func (d *data) curve(workload, server string) (points plotter.XYs) {
	for _, q := range measure.Quantiles {
		values, _ := d.sample(workload, server, quantile(q))
		if v := stats.Median(values); q > 0 && q < 1 && v > 0 && !math.IsNaN(v) {
			points = append(points, plotter.XY{X: 1 / (1 - q), Y: v / 1e3})
		}
	}
	return points
}

// ratioed are the servers whose CPU is drawn over that of the limit.
var ratioed = []series{{"eddy-callback", blue}, {"eddy-task", sky}, {"net-4k", orange}, {"net-64k", yellow},
	{"gnet", red}, {"netpoll", pink}, {"evio", green}, {"gaio", olive}}

// ratios is one tile of the echo workloads: CPU over that of the limit.
func (d *data) ratios() []*plot.Plot {
	return d.dots("CPU for each message over that of C", ratioed, d.of(workload.Echo), always(field.LimitName))
}

// dots draws ratios with their intervals, a row for each workload that has a
// base.
func (d *data) dots(title string, all []series, workloads []workload.Workload, base func(workload string) string) []*plot.Plot {
	const most = 3.0 // what is beyond is not drawn
	p := plot.New()
	p.Title.Text = title + ": median and 95 % interval; what exceeds 3 is not drawn"
	smallLetters(p)
	p.Add(plotter.NewGrid())
	var rows []string
	at := map[string]float64{}
	for _, w := range workloads {
		if len(d.cells[w.Name][base(w.Name)]) > 0 {
			at[w.Name] = float64(len(rows))
			rows = append(rows, w.Name)
		}
	}
	if len(rows) == 0 {
		return nil
	}
	upward := slices.Clone(rows)
	slices.Reverse(upward)
	for _, s := range all {
		var points intervals
		for _, c := range d.compare(always(s.server), base, cpu) {
			if math.IsNaN(c.Low) {
				c.Low, c.High = c.Min, c.Max
			}
			row, ok := at[c.workload]
			if ok && c.Median <= most {
				y := float64(len(rows)-1) - row + d.offset(c.workload, s, all)
				points.XYs = append(points.XYs, plotter.XY{X: c.Median, Y: y})
				points.XErrors = append(points.XErrors, struct{ Low, High float64 }{c.Low - c.Median, min(c.High, most) - c.Median})
			}
		}
		if len(points.XYs) == 0 {
			continue
		}
		dots, err := plotter.NewScatter(points)
		if err != nil {
			return nil
		}
		dots.GlyphStyle = draw.GlyphStyle{Color: s.colour, Radius: vg.Points(2.4), Shape: draw.CircleGlyph{}}
		bars, err := plotter.NewXErrorBars(points)
		if err != nil {
			return nil
		}
		bars.Color, bars.Width, bars.CapWidth = s.colour, vg.Points(1), vg.Points(2)
		p.Add(bars, dots)
		p.Legend.Add(s.server, dots)
	}
	p.NominalY(upward...)
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = 0.4, most, -0.6, float64(len(rows))+1.4
	p.X.Tick.Marker = plot.ConstantTicks{{Value: 0.5, Label: "0.5"}, {Value: 0.7, Label: "0.7"}, {Value: 0.9, Label: "0.9"}, {Value: 1, Label: "1"}, {Value: 1.1, Label: "1.1"}, {Value: 1.2, Label: "1.2"},
		{Value: 1.5, Label: "1.5"}, {Value: 2, Label: "2"}, {Value: 2.5, Label: "2.5"}, {Value: 3, Label: "3"}}
	p.Legend.Top, p.Legend.XOffs = true, -vg.Points(6)
	return []*plot.Plot{p}
}

// offset is how far above its row a server's dot is, so that those of a row do
// not hide each other.
func (d *data) offset(workload string, s series, all []series) float64 {
	present := slices.DeleteFunc(slices.Clone(all), func(other series) bool { return len(d.cells[workload][other.server]) == 0 })
	return (float64(len(present)-1)/2 - float64(slices.Index(present, s))) * 0.8 / float64(len(present))
}

// intervals are points with how far each may be off.
type intervals struct {
	plotter.XYs
	plotter.XErrors
}
