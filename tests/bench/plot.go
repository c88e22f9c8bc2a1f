package main

import (
	"fmt"
	"path/filepath"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
)

// plot draws connections a second against the size, with the interval of each, into NAME.svg below dir. The sizes stand side
// by side: they grow by powers from 0 on, which no scale has.
func (s sweep) plot(dir string) error {
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = "Connections a second by "+s.Axis, s.Axis, "connections a second"
	var names []string
	var medians struct {
		plotter.XYs
		plotter.YErrors
	}
	for i, at := range s.Points {
		names = append(names, thousands(at.Size))
		medians.XYs = append(medians.XYs, plotter.XY{X: float64(i), Y: at.Rate.Median})
		medians.YErrors = append(medians.YErrors, struct{ Low, High float64 }{at.Rate.Median - at.Rate.Low, at.Rate.High - at.Rate.Median})
	}
	line, dots, err := plotter.NewLinePoints(medians)
	if err != nil {
		return fmt.Errorf("plot %s: %w", s.Name, err)
	}
	bars, err := plotter.NewYErrorBars(medians)
	if err != nil {
		return fmt.Errorf("plot %s: %w", s.Name, err)
	}
	p.Add(plotter.NewGrid(), line, dots, bars)
	p.NominalX(names...)
	p.X.Min, p.X.Max = -0.3, float64(len(names))-0.7 // room for the last name
	p.Y.Min = 0                                      // a slope looks as steep as it is
	p.Y.Max *= 1.1
	return p.Save(16*vg.Centimeter, 10*vg.Centimeter, filepath.Join(dir, s.Name+".svg"))
}

// thousands writes a size as people read one: 10,000.
func thousands(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
