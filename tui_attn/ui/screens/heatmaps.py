"""Gates by class and attention between channels, epoch by epoch, beside those of the untrained network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.screen import Screen
from textual.timer import Timer
from textual.widget import Widget

from tui_attn.experiment.folders import ExperimentDir
from tui_attn.experiment.model_info import attention_models, attention_of, joined
from tui_attn.experiment.reducer import RunState
from tui_attn.system.console import over_ssh
from tui_attn.system.text import safe_text
from tui_attn.system.textfit import wrap
from tui_attn.ui.bindings import bindings
from tui_attn.ui.charts.matrix import matrix
from tui_attn.ui.drawing import EMPTY, Drawn, Row, rule
from tui_attn.ui.feed import Snapshot
from tui_attn.ui.heatmap_selection import Place
from tui_attn.ui.jobs import background, in_thread, shown_while
from tui_attn.ui.keys import HEATMAPS_KEYS, SCREEN_KEYS
from tui_attn.ui.probes import Matrix, Probed, largest_difference, read_probe
from tui_attn.ui.protocols import ExplainsKeys, app_of
from tui_attn.ui.widgets.epoch_slider import EpochSlider
from tui_attn.ui.widgets.heatmap import Heatmap
from tui_attn.ui.widgets.heatmap_facts import fact_rows
from tui_attn.ui.widgets.key_bar import KeyBar

if TYPE_CHECKING:
    from tui_attn.compare.heatmaps import HeatmapFacts

NONE_YET = (
    "No run has been probed yet.",
    "",
    "After each epoch, a run with channel gates records the mean gate of every channel for each class, and a run with"
    " a channel matrix the attention of each head between the channels. They show here as soon as the first epoch of"
    " such a run is done.",
)
NO_ATTENTION = (
    "No model of this experiment has gates or attention to show.",
    "",
    f"{joined(attention_models())} have: 'tui-attn --models base,se' trains them side by side.",
)
BOTH = 120
"""Width in cells from which the untrained network's heatmap is shown beside the trained one's, not instead of it."""
PLAY_SECONDS = 0.8
"""Between two epochs that are played."""


class Maps(Widget):
    """Holds the heatmaps, side by side, or one below the other where that gives larger cells."""

    def on_resize(self) -> None:
        """Choose anew."""
        self.choose()

    def choose(self) -> None:
        """Choose how the two stand, for what they show now."""
        trained, untrained = self.query(Heatmap)
        width, height = self.size
        beside = trained.legibility((width - 2) // 2, height)
        self.set_class(untrained.display and trained.legibility(width, (height - 1) // 2) > beside, "-below")


@dataclass
class Loaded:
    """A probe was read: what it holds, or why it can't be read."""

    run: str
    epoch: int
    probed: Probed | None
    error: str | None = None


class HeatmapsScreen(ExplainsKeys, Screen[None], inherit_bindings=False):
    """Goes through runs, epochs and matrices; files are read in a thread."""

    BINDINGS = bindings((*SCREEN_KEYS, *HEATMAPS_KEYS))

    def __init__(self, folder: ExperimentDir, snapshot: Snapshot | None, run: str | None) -> None:
        super().__init__(classes="-empty")
        self._folder = folder
        self._place = Place(run)
        self._loading: tuple[str, int] | None = None
        self._found: Loaded | None = None
        self._snapshot = snapshot
        self._untrained: bool | None = None
        """Whether the untrained network's is shown; None: where there is room beside the trained one's."""
        self._facts = True
        self._fact_rows: Sequence[Row] = ()
        self._said: tuple[str, str, Sequence[str]] = ("", "", ())
        """The title, the text at its right end, and the lines below."""
        self._maps = Heatmap(id="heatmap"), Heatmap(id="untrained")
        self._playing: Timer | None = None
        self._barren = False
        """Whether no model of the experiment has anything to probe."""

    def compose(self) -> ComposeResult:
        """Title, slider, heatmaps, facts, keys."""
        yield Drawn(self._title, id="words")
        yield EpochSlider(id="slider")
        with Maps(id="maps"):
            yield from self._maps
        yield Drawn(lambda _, __: self._fact_rows, id="facts")
        yield KeyBar()

    def on_mount(self) -> None:
        """Show the snapshot."""
        main, beside = self._maps
        beside.can_focus = False
        self.watch(main, "sort_by", lambda order: setattr(beside, "sort_by", order))
        self.watch(main, "difference", lambda shown: setattr(beside, "difference", shown))
        main.focus()
        if self._snapshot is not None:
            self.show(self._snapshot)
        else:
            self._words()

    def on_resize(self) -> None:
        """Share the room out again."""
        if self._found is not None:
            self._draw()

    def on_heatmap_cursor_moved(self, message: Heatmap.CursorMoved) -> None:
        """Let the cursor stand at the same place in both."""
        for heatmap in self._maps:
            if heatmap is not message.heatmap:
                heatmap.cursor = (message.row, message.column)

    def show(self, snapshot: Snapshot) -> None:
        """Update the list of runs, and show the newest epoch unless another was chosen."""
        before = self._place.run
        runs = [view.state for view in snapshot.runs.values()]
        self._place.runs = [run for run in runs if run.probes]
        run, asked = self._place.run, self._place.asked
        if before is None and run is not None and asked not in {None, run.id}:
            app_of(self).say(f"{asked} has no heatmaps: this is {run.id}", "muted")
        if before is None and run is not None:
            self.refresh_bindings()
        self._barren = snapshot.ended and all(attention_of(each.model) == "none" for each in runs)
        self._load()

    @property
    def busy(self) -> bool:
        """Whether a file is being read."""
        shown = None if self._found is None else (self._found.run, self._found.epoch)
        return self._loading is not None and self._loading != shown

    # ---- keys

    def why_not(self, action: str, parameters: tuple[object, ...]) -> str | None:
        """Return why `action` can't be done now; None where it can be."""
        if action == "back" or self._place.run is not None:
            return None
        return NO_ATTENTION[0] if self._barren else NONE_YET[0]

    def action_back(self) -> None:
        """Leave this screen."""
        self.dismiss()

    def action_next_run(self) -> None:
        """Show the next run with probes."""
        self.query_one(KeyBar).say("")
        if len(self._place.runs) == 1:
            app_of(self).say("no other run has heatmaps yet", "muted")
        self._place.next_run()
        self._load()

    def action_matrix(self, by: int) -> None:
        """Show another matrix of this probe."""
        if self._probed is not None:
            self._place.next_matrix(self._probed, by)
            self._draw()

    def action_group(self, by: int) -> None:
        """Show the attention on images of another class, or on all."""
        if self._probed is not None:
            if not self._place.next_group(self._probed, by):
                app_of(self).say("every row of this heatmap is a class", "muted")
            self._draw()

    def action_epoch(self, by: int) -> None:
        """Show a later or an earlier epoch."""
        self._stop_playing()
        if not self._place.step(by):
            app_of(self).say("this is the newest epoch" if by > 0 else "this is the first epoch", "muted")
        self._load()

    def on_epoch_slider_chosen(self, message: EpochSlider.Chosen) -> None:
        """Show the epoch that was clicked at."""
        self._stop_playing()
        self._place.go_to(message.epoch)
        self._load()

    def action_play(self) -> None:
        """Go through the epochs by itself, or stop doing so. Not over SSH, where every frame is a download."""
        if self._playing is not None:
            self._stop_playing()
        elif self._place.run is not None and over_ssh():
            app_of(self).say("over SSH nothing plays by itself: . and , step through the epochs", "muted")
        elif self._place.run is not None:
            self._place.go_to(self._place.epochs[0])
            self._load()
            self._playing = self.set_interval(PLAY_SECONDS, self._play_on)

    def _play_on(self) -> None:
        """The next epoch, once the one before is shown."""
        if self.busy:
            return
        if self._place.step(1):
            self._load()
        else:
            self._stop_playing()

    def _stop_playing(self) -> None:
        if self._playing is not None:
            self._playing.stop()
            self._playing = None

    def action_untrained(self) -> None:
        """Show or hide what the untrained network has here."""
        self._untrained = not self._shows_untrained
        self._draw()

    def action_scale(self) -> None:
        """Colour this matrix, in all epochs, from 0 to 1, or over the values in sight."""
        if self._probed is not None:
            self._place.change_scale(self._probed)
            self._draw()

    def action_facts(self) -> None:
        """Show or hide what the numbers say."""
        self._facts = not self._facts
        self._draw()

    @property
    def _shows_untrained(self) -> bool:
        return self.size.width >= BOTH if self._untrained is None else self._untrained

    # ---- reading

    @property
    def _probed(self) -> Probed | None:
        """What was read, if there is anything to show in it."""
        probed = None if self._found is None else self._found.probed
        return probed if probed is not None and probed.matrices else None

    def _load(self) -> None:
        run, epoch = self._place.run, self._place.epoch
        if run is None or epoch is None:
            self._words()
        elif self._loading != (run.id, epoch):
            self._loading = (run.id, epoch)
            self._read(run, epoch)

    @background("probe", exclusive=True)
    async def _read(self, run: RunState, epoch: int) -> None:
        try:
            reading = in_thread(read_probe, self._folder, run, epoch)
            self._found = Loaded(run.id, epoch, await shown_while(self, f"reading epoch {epoch}", reading))
        except (OSError, ValueError) as problem:
            self._found = Loaded(run.id, epoch, None, str(problem))
        self._draw()

    # ---- drawing

    def _draw(self) -> None:
        """The heatmap, that of the untrained network beside it or in its place, the slider and the title."""
        found, probed, place = self._found, self._probed, self._place
        if found is None or probed is None:
            self._words()
            return
        trained, before = place.matrix(probed)
        asked, wide = self._shows_untrained and found.epoch != 0, self.size.width >= BOTH
        in_place = before if asked and not wide else None
        scale = (*place.ends(probed), largest_difference(trained, before))
        main, beside = self._maps
        untrained = f"{trained.name}, untrained"
        _put(main, in_place or trained, scale, untrained if in_place else trained.name, None)
        beside.display = asked and wide and before is not None
        if asked and wide and before is not None:
            _put(beside, before, scale, untrained, main)
        self.remove_class("-empty")
        self.query_one(Maps).choose()
        missing = place.missing(probed) or ("the untrained network's is missing" if asked and before is None else "")
        self.query_one(EpochSlider).show(place.epochs or [found.epoch], found.epoch, missing)
        epoch = found.epoch if in_place is None else 0
        where = f"{probed.parts.index(place.part(probed)) + 1} of {len(probed.parts)}"
        shown = f"epoch {epoch}" if epoch else "untrained"
        self._say(f"{safe_text(found.run, one_line=True)} · {shown}", where)
        self._say_facts(probed.facts.get(trained.layer), epoch)

    def _say_facts(self, facts: HeatmapFacts | None, epoch: int) -> None:
        panel, most = self.query_one("#facts", Drawn), max(self.size.height // 4, 3)
        panel.display = self._facts and facts is not None and self.size.height >= 20
        if facts is not None and panel.display:
            self._fact_rows = fact_rows(facts, epoch, self.size.width, most)
            panel.styles.height = min(len(self._fact_rows), most + 2)
            panel.redraw()

    def _words(self) -> None:
        """What to say where there is no heatmap."""
        self.add_class("-empty")
        self.query_one("#facts").display = False
        found = self._found
        texts: Sequence[str] = NO_ATTENTION if self._barren else NONE_YET
        if found is not None and found.error is not None:
            reason = safe_text(found.error, one_line=True)
            texts = (f"The probe of epoch {found.epoch} can't be read: {reason}",)
        self._say("heatmaps", texts=texts)

    def _say(self, title: str, right: str = "", texts: Sequence[str] = ()) -> None:
        self._said = title, right, texts
        self.query_one("#words", Drawn).redraw()

    def _title(self, width: int, height: int) -> list[Row]:
        title, right, texts = self._said
        below = [line for text in texts for line in wrap(text, min(max(width - 2, 20), 110)) or [""]]
        return [
            rule(title, width, right=right, focused=True),
            EMPTY,
            *(Row(((f" {line}", "muted"),)) for line in below),
        ]


def _put(heatmap: Heatmap, found: Matrix, scale: tuple[float, float, float], title: str, like: Heatmap | None) -> None:
    """Show `found` on a scale with these ends, of values and of differences, which trained and untrained share."""
    heatmap.row_title, heatmap.column_title = found.row_title, found.column_title
    lower, upper, end = scale
    rows, order = [safe_text(name, one_line=True) for name in found.rows], None if like is None else like.matrix
    drawn = matrix(
        found.values, rows, None, lower, upper, reference=found.reference, ordered_like=order, difference_end=end
    )
    heatmap.set_matrix(drawn, title)
