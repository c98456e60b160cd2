"""The report: one self-contained HTML page, tables as CSV, pictures as PNG and SVG; the only place with matplotlib."""
