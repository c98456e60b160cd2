"""The drawing side of the dashboard: series, scales, the plotext canvas, cells and palettes. Knows no widget."""
