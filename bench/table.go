package bench

import (
	"fmt"
	"io"
	"strings"
)

// writeTable writes results as a Markdown table, as bench/README.md keeps them.
// Units that no result has are left out; a figure that a result lacks is a dash.
func writeTable(w io.Writer, results []result, limit *limits) error {
	var units []string
	seen := map[string]bool{}
	rows := make([]map[string]float64, len(results))
	for i, r := range results {
		rows[i] = map[string]float64{}
		for _, m := range r.metrics(limit) {
			if !seen[m.unit] {
				seen[m.unit] = true
				units = append(units, m.unit)
			}
			rows[i][m.unit] = m.value
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "| workload | at | %s |\n|---|---%s|\n", strings.Join(units, " | "), strings.Repeat("|---", len(units)))
	for i, r := range results {
		fmt.Fprintf(&b, "| %s | %d |", r.name, r.concurrency)
		for _, u := range units {
			if v, ok := rows[i][u]; ok {
				fmt.Fprintf(&b, " %s |", figure(v))
			} else {
				b.WriteString(" – |")
			}
		}
		b.WriteByte('\n')
	}
	for _, r := range results {
		if r.note != "" {
			fmt.Fprintf(&b, "\n%s @%d: %s\n", r.name, r.concurrency, r.note)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// figure prints three digits that matter.
func figure(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	case v >= 1:
		return fmt.Sprintf("%.2f", v)
	default:
		return fmt.Sprintf("%.3f", v)
	}
}
