"""Every key of the dashboard: one table from which bindings, footer and help are made. Stdlib only.

A binding's id is what the configuration file's keymap names; a keymap maps ids to one or more keys. Bindings of one
id share their keys, and one of them works at a time: pause and go on.
"""

from __future__ import annotations

from typing import NamedTuple

from tui_attn.ui.charts.keys import CHART_KEYS, HEATMAP_KEYS


class Key(NamedTuple):
    """One binding."""

    id: str
    keys: str
    """The keys that do it by default, separated by commas."""
    action: str
    label: str
    """What the footer says, a word or two."""
    tooltip: str
    """What the help says, one sentence without a full stop."""
    show: bool = False
    """Whether the footer shows it."""
    priority: bool = False
    """Whether it comes before what the focused panel does with the key."""


def _list_keys(row: str, select: str) -> tuple[Key, ...]:
    """Keys that select a row of a list, with these words in their ids and tooltips."""
    return (
        Key(f"previous_{row}", "up,k", "select(-1)", "up", f"{select} the {row} above"),
        Key(f"next_{row}", "down,j", "select(1)", "down", f"{select} the {row} below"),
        Key(f"first_{row}", "home,g", "select(-100000)", "first", f"{select} the first {row}"),
        Key(f"last_{row}", "end,G", "select(100000)", "last", f"{select} the last {row}"),
        Key(f"{row}s_up", "pageup,ctrl+u", "select(-10)", "page up", f"Go ten {row}s up"),
        Key(f"{row}s_down", "pagedown,ctrl+d", "select(10)", "page down", f"Go ten {row}s down"),
    )


HELP_KEY = Key("help", "question_mark,f1", "app.help", "help", "Show every key; search them, and run one", True)
"""Works on every screen, also over a question."""

APP_KEYS = (
    Key("leave", "q,ctrl+q", "leave", "leave", "Leave; the training goes on, and attach brings this screen back", True),
    HELP_KEY,
    Key(
        "interrupt",
        "ctrl+c",
        "interrupt",
        "stop or leave",
        "Ask whether to stop the training or only to leave",
        False,
        True,
    ),
    Key("palette", "colon,ctrl+p", "palette", "commands", "Command palette", True),
    Key("theme", "T", "choose_theme", "theme", "Choose a theme (previewed as you move)"),
    Key("suspend", "ctrl+z", "suspend_process", "suspend", "Suspend; fg returns"),
    Key("redraw", "ctrl+l", "redraw", "redraw", "Draw the whole screen again, after something else wrote on it"),
)
"""Keys that work on every screen."""

DASHBOARD_KEYS = (
    Key("pause", "p", "steer('pause', True)", "pause", "Pause or resume this run", True),
    Key("pause", "p", "steer('unpause', True)", "go on", "", True),
    Key("stop", "s", "steer('stop', True)", "stop", "Stop this run; what it has reached is kept", True),
    Key("skip", "x", "steer('skip', True)", "skip", "Skip the selected run and go on with the others", True),
    Key("retry", "r", "steer('retry', True)", "retry", "Retry a failed run, or resume the experiment", True),
    Key("retry", "r", "resume", "resume", "", True),
    Key("details", "enter,t", "details", "details", "Run details and traceback", True),
    Key("comparison", "c", "comparison", "compare", "Compare the models", True),
    Key("heatmap", "h", "heatmap", "heatmaps", "Show gates by class and attention between channels", True),
    Key("new_experiment", "n", "new_experiment", "new", "New experiment, with this one's options"),
    Key("history", "b", "app.history", "experiments", "Show all experiments, to open, compare or tidy up", True),
    Key("pause_all", "P", "steer('pause', False)", "pause all", "Pause or resume all runs"),
    Key("pause_all", "P", "steer('unpause', False)", "all go on", ""),
    Key("stop_all", "S", "steer('stop', False)", "stop all", "Stop all runs; what they have reached is kept"),
    Key("skip_all", "X", "steer('skip', False)", "skip all", "Skip all runs that have not ended"),
    *_list_keys("run", "Select"),
    Key("next_panel", "tab", "app.focus_next", "panels", "Go to the next panel", True),
    Key("previous_panel", "shift+tab", "app.focus_previous", "previous panel", "Go to the panel before"),
    Key("maximize", "f", "maximize_panel", "full screen", "Give the focused panel the whole screen, and back"),
    Key("minimize", "escape", "minimize", "all panels", "Show all panels again", True),
)
"""Keys of the dashboard itself."""

PANEL_KEYS = (
    Key("scroll_up", "up,k", "scroll(-1)", "up", "Go a line up"),
    Key("scroll_down", "down,j", "scroll(1)", "down", "Go a line down"),
    Key("page_up", "pageup,ctrl+u", "page(-1)", "page up", "Go a page up"),
    Key("page_down", "pagedown,ctrl+d", "page(1)", "page down", "Go a page down"),
    Key("first", "home,g", "first", "first", "Go to the first line"),
    Key("last", "end,G", "last", "last", "Go to the last line"),
    Key("find", "slash", "find", "find", "Go to the next line or run with these words; in the log, show no others"),
)
"""Keys of everything that scrolls."""

RUN_TABLE_KEYS = (
    Key("hide_run", "space", "hide", "hide", "Hide the curves of this run or model, or show them again", True),
    Key("unfold", "right", "fold(True)", "unfold", "Show the runs of this model (enter too)"),
    Key("fold", "left", "fold(False)", "fold", "Show one row for all runs of this model"),
)
"""Keys of the run table."""

SCREEN_KEYS = (Key("back", "escape,backspace", "back", "back", "Go back to the dashboard", True),)
"""Keys of the screens that cover the dashboard."""

CONFIRM_KEYS = (
    Key("yes", "y", "answer(True)", "yes", "Do it", True),
    Key("no", "n,escape", "answer(False)", "no", "Change nothing", True),
    Key("leave_instead", "q", "leave", "leave", "Leave the dashboard; the training goes on", True),
    HELP_KEY,
)
"""Keys of a question."""

CHOICE_KEYS = (
    Key("previous_choice", "up,k", "move(-1)", "up", "Go to the one above"),
    Key("next_choice", "down,j,T", "move(1)", "down", "Go to the one below"),
    Key("first_choice", "home,g,pageup,ctrl+u", "move(-100)", "first", "Go to the first one"),
    Key("last_choice", "end,G,pagedown,ctrl+d", "move(100)", "last", "Go to the last one"),
    Key("choose", "enter,space", "choose", "keep", "Keep what is selected", True),
    Key("cancel", "escape,q", "cancel", "as before", "Discard changes", True),
    HELP_KEY,
)
"""Keys of a short list of which one is chosen."""

PALETTE_KEYS = (
    Key("palette_up", "up,ctrl+k,shift+tab", "command_list('cursor_up')", "up", "Go to the entry above", False, True),
    Key("palette_down", "down,ctrl+j,ctrl+n,tab", "cursor_down", "down", "Go to the entry below", True, True),
    Key("palette_page_up", "pageup", "command_list('page_up')", "page up", "Go a page up"),
    Key("palette_page_down", "pagedown", "command_list('page_down')", "page down", "Go a page down"),
    Key("palette_do", "enter", "choose", "do it", "Do what is selected", True, True),
    Key("palette_close", "escape,ctrl+p", "escape", "close", "Do nothing", True, True),
)
"""Keys of the palette and the help; every other key is typed into them."""

PALETTE_OPENERS = ("palette", "interrupt")
"""What the palette has no use for: to open itself, and what Ctrl+C asks."""

HEATMAPS_KEYS = (
    Key("next_probe_run", "j", "next_run", "run", "Show the next run that has gates or attention", True),
    Key("next_matrix", "m", "matrix(1)", "matrix", "Show the next layer's gates or attention matrix of this run", True),
    Key("previous_matrix", "M", "matrix(-1)", "matrix before", "Show the layer's gates or attention matrix before"),
    Key("next_group", "]", "group(1)", "class", "Show the attention on images of the next class only, or on all", True),
    Key("previous_group", "[", "group(-1)", "class before", "Show the attention on images of the class before"),
    Key("next_epoch", ".", "epoch(1)", "later", "Show the next epoch", True),
    Key("previous_epoch", "comma", "epoch(-1)", "earlier", "Show the epoch before", True),
    Key("play_epochs", "space", "play", "play", "Play the epochs from the first", True),
    Key("untrained", "v", "untrained", "untrained", "Show the same of the untrained network, or hide it", True),
    Key("heatmap_scale", "z", "scale", "scale", "Colours from 0 to 1, or auto-scaled", True),
    Key("facts", "i", "facts", "facts", "Show or hide what the numbers say about the heatmap"),
)
"""Keys of the heatmaps' screen."""

COMPARISON_KEYS = (
    Key("compare_next_page", "tab,right", "page(1)", "page", "Show the next page of the comparison", True),
    Key("compare_previous_page", "shift+tab,left", "page(-1)", "page before", "Show the page before"),
    Key("compare_page_1", "1", "show_page(0)", "answer", "Show the page on what attention did"),
    Key("compare_page_2", "2", "show_page(1)", "statistics", "Show the page on intervals, tests, seeds and runs"),
    Key("compare_page_3", "3", "show_page(2)", "classes", "Show the page on accuracy by class"),
    Key("compare_page_4", "4", "show_page(3)", "confusion", "Show the page on the confusion matrices"),
    Key("compare_page_5", "5", "show_page(4)", "images", "Show the page on the images on which two models disagree"),
    Key("compare_page_6", "6", "show_page(5)", "attention", "Show the page on whether attention matters"),
    Key("compare_model", "m", "model(1)", "model", "Show the next model, or pair of models", True),
    Key("compare_seed", "]", "seed(1)", "seed", "Show the networks of the next seed", True),
    Key("compare_group", ".", "group(1)", "group", "Show other images: one right, the other right, both wrong", True),
    Key("compare_extend", "e", "extend", "more seeds", "Train more seeds, after a question that says how long", True),
    Key("compare_more", "plus,equals_sign", "more(1)", "one more", "Ask for one seed more"),
    Key("compare_less", "minus", "more(-1)", "one less", "Ask for one seed less"),
    Key("compare_difference", "d", "difference(1)", "difference", "Count seeds for the next larger difference", True),
    Key("compare_target", "}", "target(1)", "accuracy", "Take the time to an accuracy half a point higher", True),
    Key("compare_target_lower", "{", "target(-1)", "lower", "Take the time to an accuracy half a point lower"),
    Key("compare_probe", "I", "intervene", "intervene", "Replace the attention of all trained networks", True),
    Key("compare_heatmaps", "h", "heatmaps", "heatmaps", "Show the gates and the attention, epoch by epoch", True),
    Key("compare_report", "w", "report", "report", "Write the report: a page, tables, pictures", True),
)
"""Keys of the comparison."""

FORM_KEYS = (
    Key("start_experiment", "ctrl+s", "start", "start", "Start the experiment that is described", True),
    Key("copy_command", "ctrl+y", "copy_command", "copy", "Copy the equivalent command line", True),
    Key("start_from_defaults", "ctrl+r", "from_defaults", "defaults", "Set every entry to its default", True),
    Key("next_field", "tab", "app.focus_next", "fields", "Go to the next field", True, True),
    Key("previous_field", "shift+tab", "app.focus_previous", "previous", "Go to the field before", False, True),
    Key("field_below", "down", "field(1)", "below", "Go to the field below", False, True),
    Key("field_above", "up", "field(-1)", "above", "Go to the field above", False, True),
    Key("leave_form", "escape", "cancel", "cancel", "Cancel the start", True),
    Key("leave_form", "escape", "back", "back", "Go back; what was entered is kept while the program runs", True),
)
"""Keys of the form for a new experiment."""

ONE_OF_KEYS = (
    Key("open_choices", "space,enter", "show_overlay", "choices", "Show all choices", True),
    Key("choose_next", "right", "choose(1)", "next choice", "Take the next choice"),
    Key("choose_previous", "left", "choose(-1)", "choice before", "Take the choice before"),
)
"""Keys of a choice of one."""

OPEN_LIST_KEYS = (
    Key("take_choice", "enter,space", "select", "take", "Take the choice at the cursor", True),
    Key("close_choices", "escape", "dismiss", "close", "Close the list of choices", True),
)
"""Keys of the open list of a choice of one."""

SOME_OF_KEYS = (
    Key("choose_item", "space,enter", "select", "choose", "Select or deselect", True),
    Key("item_next", "right,down", "cursor_down", "next item", "Go to the next item"),
    Key("item_previous", "left,up", "cursor_up", "item before", "Go to the item before"),
)
"""Keys of a choice of some."""

START_BUTTON_KEYS = (Key("press_start", "enter,space", "press", "start", "Start the experiment that is described"),)
"""Keys of the button."""

HISTORY_KEYS = (
    Key("back", "escape,backspace", "back", "back", "Clear the filter, then go back", True),
    Key("open", "enter", "open", "open", "Open the experiment", True),
    Key(
        "filter", "slash", "filter", "filter", "Show only experiments with these words in id, name, note, data...", True
    ),
    Key("mark", "space", "mark", "mark", "Mark the experiment, to compare it with others", True),
    Key("compare_marked", "c", "compare", "compare", "Compare the marked experiments, or the models of this one", True),
    Key("differences", "d", "differences", "differences", "Show how the two marked experiments' options differ"),
    Key("new_experiment", "n", "new_experiment", "new", "New experiment, with this one's options", True),
    Key("sort", "o,right", "sort(1)", "sort", "Sort by the next column", True),
    Key("sort_before", "O,left", "sort(-1)", "sort before", "Sort by the column before"),
    Key("turn", "V", "turn", "turn round", "Reverse the order"),
    Key("rename", "f2", "rename", "name", "Rename the experiment", True),
    Key("note", "N", "note", "note", "Edit the experiment's note", True),
    Key("pin", "asterisk", "pin", "pin", "Pin or unpin the experiment", True),
    Key("delete", "D,delete", "delete", "delete", "Move the experiment to the trash", True),
    Key("undo", "u", "undo", "undo", "Undo the last deletion", True),
    Key("trash", "W", "trash", "trash", "Show the trash"),
    Key("unmark", "minus", "unmark", "unmark all", "Clear marks"),
    *_list_keys("experiment", "Go to"),
)
"""Keys of the history."""

TYPING_KEYS = (
    Key("accept", "enter,down", "screen.accept", "done", "Accept the text", True),
    Key("discard", "escape", "screen.discard", "discard", "Discard changes", True),
)
"""Keys of a line that is typed into."""

TRASH_KEYS = (
    Key("restore", "enter,u", "restore", "restore", "Restore the experiment", True),
    next(key for key in PANEL_KEYS if key.id == "find"),
    *_list_keys("experiment", "Go to"),
    *SCREEN_KEYS,
)
"""Keys of the trash."""

TABLES: dict[str, tuple[Key, ...]] = {
    "everywhere": APP_KEYS,
    "dashboard": DASHBOARD_KEYS,
    "run table": RUN_TABLE_KEYS,
    "what scrolls": PANEL_KEYS,
    "other screens": SCREEN_KEYS,
    "questions": CONFIRM_KEYS,
    "choices": CHOICE_KEYS,
    "new experiment": (*FORM_KEYS, *ONE_OF_KEYS, *OPEN_LIST_KEYS, *SOME_OF_KEYS, *START_BUTTON_KEYS),
    "palette": PALETTE_KEYS,
    "charts": tuple(Key(*row) for row in CHART_KEYS),
    "comparison": COMPARISON_KEYS,
    "experiments": HISTORY_KEYS,
    "typing": TYPING_KEYS,
    "trash": TRASH_KEYS,
    "heatmaps": (*HEATMAPS_KEYS, *(Key(*row) for row in HEATMAP_KEYS)),
}
"""All keys, by where they work."""

ALL_KEYS = tuple(key for table in TABLES.values() for key in table)
