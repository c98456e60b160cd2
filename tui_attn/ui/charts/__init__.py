"""The drawing side of the dashboard: series, scales, the canvas, cells and palettes. Knows no widget."""
