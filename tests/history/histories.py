"""Made-up histories of experiments, as supervisor and workers would log them, and what they come to.

A history keeps every event in the order in which it was written, whichever log it went to, so that a test can read
the logs in pieces of any size; and it keeps its own account of what must be the result.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from tui_attn.experiment.events import Event
from tui_attn.experiment.reducer import ExperimentState, RunState

T0 = 1_700_000_000.0
STEPS_PER_EPOCH = 4
EPOCHS = 3
RUN_IDS = ("base-s0", "se-s0", "self-attention-s0")
OPEN = frozenset({"queued", "starting", "running"})


@dataclass
class Account:
    """What must be known of a run in the end."""

    id: str
    state: str = "queued"
    paused: bool = False
    attempt: int = 0
    traceback: str | None = None
    points: list[int] = field(default_factory=list)
    epochs: list[int] = field(default_factory=list)
    saved: list[int] = field(default_factory=list)
    """Steps of its good checkpoints."""
    begun: bool = False
    """Whether its log has been begun."""
    step: int = 0

    @property
    def shown(self) -> str:
        """Its state with the pause."""
        return "paused" if self.paused else self.state


class History:
    """Plays actions out and logs them."""

    def __init__(self) -> None:
        self.events: list[tuple[str | None, Event]] = []
        """Each with its run, None for the experiment's log; oldest first."""
        self.accounts = {id_: Account(id_) for id_ in RUN_IDS}
        self._t = T0
        self._log(None, "experiment_started", experiment="x", devices=["cpu"], jobs=1, resumed=False)
        for account in self.accounts.values():
            self._queue(account)

    def possible(self) -> list[tuple[Account, str]]:
        """What could happen next; the usual more than once."""
        found = []
        for account in self.accounts.values():
            held, open_ = account.state in {"starting", "running"}, account.state in OPEN
            trains = account.state == "running" and not account.paused
            for action, count, makes_sense in (
                ("hand out", 4, account.state == "queued" and not account.paused),
                ("begin", 4, account.state == "starting"),
                ("train", 6, trains and account.step < EPOCHS * STEPS_PER_EPOCH),
                ("save", 2, account.state == "running" and account.step > max([0, *account.saved])),
                ("die", 1, held),
                ("end", 1, open_),
                ("pause", 1, open_ and not account.paused),
                ("unpause", 2, account.paused),
                ("retry", 2, account.state in {"failed", "stopped", "skipped"}),
            ):
                found += [(account, action)] * (count * makes_sense)
        return found

    def play(self, account: Account, action: str, detail: int) -> None:
        """Do `action` to a run; `detail` chooses among its variants."""
        run = account.id
        if action == "hand out":
            account.attempt += 1
            account.state = "starting"
            self._log(None, "run_started", run=run, device="cpu", worker=100, attempt=account.attempt)
        elif action == "begin":
            self._begin(account, damaged=detail == 0)
        elif action == "train":
            self._train(account)
        elif action == "save":
            self._save(account)
        elif action == "die":
            account.state = "queued"
            self._log(None, "run_restarted", run=run, reason="killed by SIGKILL")
        elif action == "end" and account.state != "queued":
            self._end(account, ("finished", "stopped", "failed", "skipped")[detail % 4], told=detail >= 4)
        elif action == "end":
            self._log(None, "run_ended", run=run, state="skipped", reason="skipped while it was queued")
            account.state, account.paused = "skipped", False
        elif action == "pause":
            account.paused = True
            self._log(None, "run_paused", run=run)
        elif action == "unpause":
            account.paused = False
            self._log(None, "run_unpaused", run=run)
        elif action == "retry":
            self._queue(account)

    def supervisor_dies(self) -> None:
        """Another supervisor takes charge, and queues what has not ended well."""
        self._log(None, "experiment_started", experiment="x", devices=["cpu"], jobs=1, resumed=True)
        for account in self.accounts.values():
            if account.state not in {"finished", "skipped"}:
                self._queue(account)

    def _queue(self, account: Account) -> None:
        account.state, account.traceback, account.paused = "queued", None, False
        model, _, seed = account.id.rpartition("-s")
        self._log(None, "run_queued", run=account.id, model=model, seed=int(seed))

    def _save(self, account: Account) -> None:
        account.saved.append(account.step)
        self._log(account.id, "checkpoint", step=account.step, epoch=self._epoch(account), file="a.pt", bytes=1)

    def _begin(self, account: Account, *, damaged: bool) -> None:
        account.state = "running"
        sizes = {"steps_per_epoch": STEPS_PER_EPOCH, "epochs": EPOCHS, "batch_size": 8, "train_size": 32}
        rest = {"test_size": 8, "parameters": 10, "macs": 10, "threads": 1, "precision": "fp32", "device": "cpu"}
        self._log(account.id, "started", model="base", seed=0, **sizes, **rest)
        if account.begun:
            account.saved = account.saved[: -1 if damaged else None]
            account.step = max([0, *account.saved])
            account.points = [step for step in account.points if step <= account.step]
            account.epochs = [epoch for epoch in account.epochs if epoch * STEPS_PER_EPOCH <= account.step]
            self._log(account.id, "resumed", from_step=account.step, epoch=self._epoch(account), skipped=[])
        account.begun = True

    def _train(self, account: Account) -> None:
        account.step += 1
        account.points.append(account.step)
        loss = math.nan if account.step == 5 else 1 / account.step
        self._log(
            account.id,
            "metrics",
            epoch=self._epoch(account) + 1,
            step=[account.step],
            loss=[loss],
            accuracy=[0.5],
            train_seconds=account.step * 0.5,
        )
        if account.step % STEPS_PER_EPOCH == 0:
            self._evaluate(account)

    def _evaluate(self, account: Account) -> None:
        epoch = self._epoch(account)
        account.epochs.append(epoch)
        figures = dict.fromkeys(("train_loss", "train_accuracy", "test_loss", "test_accuracy"), 0.5)
        counts = {"images": epoch * 32, "train_seconds": account.step * 0.5, "peak_memory": None}
        self._log(account.id, "epoch", epoch=epoch, step=account.step, **figures, **counts)
        self._log(account.id, "probe", epoch=epoch, file=f"epoch-{epoch:05d}.npz", gates={"se1": [epoch / 10]})

    def _end(self, account: Account, how: str, *, told: bool) -> None:
        account.state, account.paused = how, False
        if account.step and account.begun:
            self._save(account)
        account.traceback = f"Traceback of {account.attempt}" if how == "failed" else None
        digest = "0" * 64 if how == "finished" else None
        place = {"epoch": self._epoch(account), "step": account.step}
        if how != "failed" or not told:
            told_by_worker = account.traceback
            self._log(
                account.id, "ended", state=how, reason=None, traceback=told_by_worker, weights_sha256=digest, **place
            )
        extra = {"traceback": account.traceback} if told and account.traceback else {}
        self._log(None, "run_ended", run=account.id, state=how, reason=None, **extra)

    @staticmethod
    def _epoch(account: Account) -> int:
        return account.step // STEPS_PER_EPOCH

    def _log(self, run: str | None, type_: str, /, **payload: Any) -> None:
        seq = sum(1 for other, _ in self.events if other == run)
        self.events.append((run, Event(type_, seq, self._t, payload)))
        self._t += 1.0


@st.composite
def histories(draw: st.DrawFn) -> History:
    """A history of some length."""
    history = History()
    length = draw(st.integers(0, 90))
    deeds = draw(st.binary(min_size=2 * length, max_size=2 * length))
    for place in range(0, 2 * length, 2):
        choice = int.from_bytes(deeds[place : place + 2])
        possible = history.possible()
        if not possible or choice % 50 == 0:
            history.supervisor_dies()
        else:
            history.play(*possible[choice // 50 % len(possible)], detail=choice % 8)
    return history


def fold(events: Iterable[tuple[str | None, Event]], state: ExperimentState | None = None) -> ExperimentState:
    """The state after `events`, folded in as they stand."""
    state = state or ExperimentState("x")
    for run, event in events:
        if run is None:
            state.apply(event)
        else:
            state.apply_run(run, event)
    return state


def log_by_log(events: list[tuple[str | None, Event]]) -> list[tuple[str | None, Event]]:
    """`events` as a reader finds them who comes late: the experiment's own first, then those of each run."""
    return [item for owner in (None, *RUN_IDS) for item in events if item[0] == owner]


def known(run: RunState) -> dict[str, Any]:
    """All that is shown of a run, the figures of its pace aside."""
    return {
        "state": run.state,
        "goes back to": run.behind_pause if run.state == "paused" else None,
        "reason": run.reason,
        "traceback": run.traceback,
        "device": run.device,
        "attempt": run.attempt,
        "about": run.about,
        "started": run.started_at,
        "ended": run.ended_at,
        "steps": list(run.steps),
        "losses": [str(loss) for loss in run.losses],
        "times": list(run.times),
        "epochs": run.epochs,
        "gates": run.gates,
        "probes": run.probes,
        "checkpoint": run.checkpoint,
        "resumed from": run.resumed_from,
        "weights": run.weights_sha256,
    }
