"""Where the reader of the heatmaps is: which run, which epoch, which matrix, and on which scale."""

from __future__ import annotations

from tui_attn.experiment.model_info import gate_range_of
from tui_attn.experiment.reducer import RunState
from tui_attn.ui.probes import Matrix, Probed


class Place:
    """A place among the probes of several runs. Runs and epochs may be added while somebody is there."""

    def __init__(self, run: str | None) -> None:
        """Begin at the newest epoch of `run`, else of the first run with probes, of its seed if there is one."""
        self.runs: list[RunState] = []
        """Those with probes."""
        self.asked = run
        """The id of the run that was asked for, whether it has probes or not."""
        self._epoch: int | None = None
        """None: the newest, whichever that is by now."""
        self._name: str | None = None
        self._group = ""
        """The class whose images alone are looked at; empty: all."""
        self._scales: dict[str, tuple[float, float]] = {}
        """Of matrices that are shown from 0 to 1 (or the largest weight), the ends of their scales."""

    @property
    def run(self) -> RunState | None:
        """The run; None while none has probes."""
        by_id = {run.id: run for run in self.runs}
        seed = (self.asked or "").rpartition("-s")[2]
        same_seed = (run for run in self.runs if run.id.rpartition("-s")[2] == seed)
        return by_id.get(self.asked or "") or next(same_seed, self.runs[0] if self.runs else None)

    @property
    def epochs(self) -> list[int]:
        """The epochs of the run that were probed."""
        return [] if self.run is None else [epoch for epoch, _ in self.run.probes]

    @property
    def epoch(self) -> int | None:
        """The epoch; None while no run has probes."""
        epochs = self.epochs
        return self._epoch if self._epoch in epochs else epochs[-1] if epochs else None

    def next_run(self) -> None:
        """Go to the next run, to its newest epoch."""
        run = self.run
        if run is not None:
            ids = [found.id for found in self.runs]
            self.asked, self._epoch = ids[(ids.index(run.id) + 1) % len(ids)], None

    def go_to(self, epoch: int) -> None:
        """Go to an epoch; at the newest, follow."""
        self._epoch = None if epoch in self.epochs[-1:] else epoch

    def step(self, by: int) -> bool:
        """Go to a later or an earlier epoch; return whether there is one."""
        epochs = self.epochs
        at = by + (epochs.index(self._epoch) if self._epoch in epochs else len(epochs) - 1)
        if not 0 <= at < len(epochs):
            return False
        self.go_to(epochs[at])
        return True

    # ---- matrices

    def part(self, probed: Probed) -> Matrix:
        """The matrix to show, over all images."""
        return next((matrix for matrix in probed.parts if matrix.name == self._name), probed.parts[0])

    def matrix(self, probed: Probed) -> tuple[Matrix, Matrix | None]:
        """The matrix to show, and the untrained network's, where there is one of this shape."""
        part = self.part(probed)
        matrix = (probed.of_group(part, self._group) if self._group else None) or part
        before = probed.untrained.get(matrix.name)
        return matrix, before if before is not None and before.values.shape == matrix.values.shape else None

    def missing(self, probed: Probed) -> str:
        """In words, why not the class is shown that was asked for; empty where it is, or where none was."""
        part = self.part(probed)
        if not self._group or probed.of_group(part, self._group) is not None:
            return ""
        if not probed.groups(part):
            return ""
        ends = self.epochs[:1] + self.epochs[-1:]
        why = "not recorded" if self.epoch in ends else "see epoch 0 or the last"
        return f"{part.name.partition(', ')[2]} by class: {why}"

    def next_matrix(self, probed: Probed, by: int) -> None:
        """Go to another matrix of this probe."""
        names = [matrix.name for matrix in probed.parts]
        at = names.index(self.part(probed).name)
        self._name = names[(at + by) % len(names)]

    def next_group(self, probed: Probed, by: int) -> bool:
        """Go to the images of another class, or to all; False where the rows are the classes, or none were recorded."""
        groups = ["", *probed.groups(self.part(probed))]
        at = groups.index(self._group) if self._group in groups else 0
        self._group = groups[(at + by) % len(groups)]
        return len(groups) > 1

    def ends(self, probed: Probed) -> tuple[float, float]:
        """The ends of the scale of the matrix to show: of the values in sight, unless the whole scale was asked for."""
        matrix, before = self.matrix(probed)
        return self._scales.get(matrix.name) or _ends(matrix, before)

    def change_scale(self, probed: Probed) -> None:
        """Show this matrix over the range of its gates (weights: from 0 to the largest), or of its values."""
        matrix, before = self.matrix(probed)
        if matrix.name in self._scales:
            del self._scales[matrix.name]
        else:
            self._scales[matrix.name] = gate_range_of(matrix.layer) if matrix.unit else (0.0, _ends(matrix, before)[1])


def _ends(*matrices: Matrix | None) -> tuple[float, float]:
    """The smallest and the largest value."""
    values = [matrix.values for matrix in matrices if matrix is not None]
    return min(float(array.min()) for array in values), max(float(array.max()) for array in values)
