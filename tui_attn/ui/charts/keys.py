"""The keys of charts and heatmaps: (id, keys, action, label, tooltip, shown in the footer). Stdlib only."""

from __future__ import annotations

KeyRow = tuple[str, str, str, str, str, bool]

CHART_KEYS: tuple[KeyRow, ...] = (
    ("chart_cursor_left", "left", "cursor(-1)", "cursor", "Move the value cursor to the point before", False),
    ("chart_cursor_right", "right", "cursor(1)", "cursor", "Move the value cursor to the next point", False),
    ("chart_cursor_back", "shift+left", "cursor(-10)", "cursor", "Move the value cursor ten columns back", False),
    ("chart_cursor_on", "shift+right", "cursor(10)", "cursor", "Move the value cursor ten columns on", False),
    ("chart_cursor_first", "home", "cursor_end(False)", "first", "Move the value cursor to the first point", False),
    ("chart_cursor_last", "end", "cursor_end(True)", "last", "Move the value cursor to the last point", False),
    ("chart_cursor_off", "escape", "cursor_off", "no cursor", "Take the value cursor away", False),
    ("chart_zoom_in", "plus,equals_sign", "zoom(0.5)", "zoom in", "Show half as much, around the cursor", True),
    ("chart_zoom_out", "minus", "zoom(2.0)", "zoom out", "Show twice as much", True),
    ("chart_reset", "0", "reset_view", "all", "Show the whole history again", True),
    ("chart_pan_left", "comma,less_than_sign", "pan(-0.25)", "earlier", "Show what was earlier", False),
    ("chart_pan_right", "full_stop,greater_than_sign", "pan(0.25)", "later", "Show what came later", False),
    ("chart_zoom_y_in", "right_curly_bracket", "zoom_y(0.5)", "zoom y", "Show half the range of values", False),
    ("chart_zoom_y_out", "left_curly_bracket", "zoom_y(2.0)", "zoom y", "Show twice the range of values", False),
    ("chart_pan_y_up", "pageup", "pan_y(0.25)", "higher", "Show higher values", False),
    ("chart_pan_y_down", "pagedown", "pan_y(-0.25)", "lower", "Show lower values", False),
    ("chart_smoother", "right_square_bracket", "smooth(1)", "smoother", "Smooth the curves more", True),
    ("chart_rougher", "left_square_bracket", "smooth(-1)", "rougher", "Smooth the curves less", False),
    ("chart_raw", "R", "toggle_raw", "raw", "Show or hide the raw values under smoothed ones", False),
    ("chart_range", "y", "toggle_range", "full range", "Fit the y axis to what follows the warm-up, or to all", True),
    ("chart_log", "l", "toggle_log", "log", "Logarithmic y axis, or back to linear", True),
    ("chart_log_x", "L", "toggle_log_x", "log x", "Logarithmic x axis, or back to linear", False),
    ("chart_axis", "a", "next_axis", "axis", "Take steps, epochs or time as the x axis", True),
    ("chart_seeds", "B", "toggle_seeds", "seeds", "Show each seed, or mean and range of a model's seeds", False),
)
"""Keys of a chart."""

HEATMAP_KEYS: tuple[KeyRow, ...] = (
    ("heatmap_left", "left", "cursor(0, -1)", "left", "Go to the column before", False),
    ("heatmap_right", "right", "cursor(0, 1)", "right", "Go to the next column", False),
    ("heatmap_up", "up", "cursor(-1, 0)", "up", "Go to the row above", False),
    ("heatmap_down", "down", "cursor(1, 0)", "down", "Go to the row below", False),
    ("heatmap_back", "shift+left,pageup", "cursor(0, -8)", "back", "Go eight columns back", False),
    ("heatmap_on", "shift+right,pagedown", "cursor(0, 8)", "on", "Go eight columns on", False),
    ("heatmap_first", "home", "cursor_end(False)", "first", "Go to the first column", False),
    ("heatmap_last", "end", "cursor_end(True)", "last", "Go to the last column", False),
    ("heatmap_sort", "o", "next_order", "order", "Order the columns by index, mean or spread", True),
    ("heatmap_difference", "d", "toggle_difference", "difference", "Show each row against the mean of all", True),
)
"""Keys of a heatmap."""
