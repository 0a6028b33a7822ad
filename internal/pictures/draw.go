// Command pictures draws the pictures of the docs, as SVG that follows the reader's choice
// of light or dark.
//
//	go run ./internal/pictures docs/pictures
package main

import (
	"fmt"
	"html"
	"math"
	"strings"
)

// style has the colours of both schemes.
const style = `
	text { font: 13px system-ui, sans-serif; fill: #1a2029; text-anchor: middle }
	.title { font-weight: 600 } .note { font-size: 11px; fill: #5b6673 } .left { text-anchor: start }
	.box { fill: #f2f5f9; stroke: #8b97a6 } .strong { fill: #dbe8ff; stroke: #2563eb } .end { fill: #e9ecf0; stroke: #8b97a6; stroke-dasharray: 4 3 }
	.arrow { fill: none; stroke: #5b6673; stroke-width: 1.3 } .head { fill: #5b6673 }
	@media (prefers-color-scheme: dark) {
		text { fill: #e6eaf0 } .note { fill: #9aa7b6 }
		.box { fill: #1c242e; stroke: #5f6d7d } .strong { fill: #17305c; stroke: #60a5fa } .end { fill: #171d25; stroke: #5f6d7d }
		.arrow { stroke: #9aa7b6 } .head { fill: #9aa7b6 }
	}
`

// A picture is drawn from top to bottom; units are pixels.
type picture struct {
	width, height int
	body          strings.Builder
}

func newPicture(width, height int) *picture { return &picture{width: width, height: height} }

func (p *picture) svg(title string) []byte {
	return fmt.Appendf(nil, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img">
<title>%s</title>
<style>%s</style>
<defs><marker id="head" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" orient="auto"><path class="head" d="M0 0L10 5L0 10z"/></marker></defs>
%s</svg>
`, p.width, p.height, p.width, p.height, html.EscapeString(title), style, p.body.String())
}

// A box has a class, a name and lines of explanation.
type box struct{ x, y, w, h int }

const (
	lineHeight = 16
	padding    = 9
)

func (p *picture) box(class string, x, y, w int, name string, notes ...string) box {
	b := box{x, y, w, 2*padding + lineHeight*(1+len(notes)) - 2}
	fmt.Fprintf(&p.body, `<rect class="%s" x="%d" y="%d" width="%d" height="%d" rx="7"/>`+"\n", class, b.x, b.y, b.w, b.h)
	p.text("title", x+w/2, y+padding+11, name)
	for i, note := range notes {
		p.text("note", x+w/2, y+padding+11+lineHeight*(i+1), note)
	}
	return b
}

func (p *picture) text(class string, x, y int, s string) {
	fmt.Fprintf(&p.body, `<text class="%s" x="%d" y="%d">%s</text>`+"\n", class, x, y, html.EscapeString(s))
}

// across draws an arrow from the right side of one box to the left side of another, at a height.
func (p *picture) across(from, to box, y int) {
	p.arrow(point{from.x + from.w, y}, point{to.x, y})
}

// A point is where arrows begin, bend and end.
type point struct{ x, y int }

func (b box) top(at int) point    { return point{b.x + b.w*at/100, b.y} }
func (b box) bottom(at int) point { return point{b.x + b.w*at/100, b.y + b.h} }
func (b box) middle() int         { return b.y + b.h/2 }

func (p *picture) arrow(points ...point) {
	const gap = 3 // between the head and the box
	last, before := &points[len(points)-1], points[len(points)-2]
	length := math.Hypot(float64(last.x-before.x), float64(last.y-before.y))
	last.x -= int(gap * float64(last.x-before.x) / length)
	last.y -= int(gap * float64(last.y-before.y) / length)
	var d strings.Builder
	for i, at := range points {
		fmt.Fprintf(&d, "%c%d %d", "ML"[min(i, 1)], at.x, at.y)
	}
	fmt.Fprintf(&p.body, `<path class="arrow" marker-end="url(#head)" d="%s"/>`+"\n", d.String())
}
