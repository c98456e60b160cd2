"""The fold says the same of a history whether it was watched or read afterwards, and each step is in it once."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.history.histories import EPOCHS, OPEN, RUN_IDS, STEPS_PER_EPOCH, History, fold, histories, known, log_by_log
from tui_attn.experiment.reducer import ExperimentState


@settings(max_examples=6 * settings().max_examples)
@given(history=histories())
def test_each_step_and_each_epoch_is_there_once_however_often_workers_died(history: History) -> None:
    state = fold(log_by_log(history.events))

    assert list(state.runs) == list(RUN_IDS)
    for account in history.accounts.values():
        run = state.runs[account.id]
        assert (run.state, run.attempt, run.traceback) == (account.shown, account.attempt, account.traceback)
        assert list(run.steps) == account.points
        assert [result.epoch for result in run.epochs] == account.epochs
        assert [epoch for epoch, _ in run.probes] == account.epochs
        assert run.step == max([0, *account.points])
        newest = max([0, *account.saved])
        assert run.checkpoint == ((newest, newest // STEPS_PER_EPOCH) if newest else None)
        if run.state != "finished" and run.about:
            assert run.progress == run.step / (EPOCHS * STEPS_PER_EPOCH)
    open_ = [account for account in history.accounts.values() if account.state in OPEN]
    all_paused = bool(open_) and all(account.paused for account in open_)
    assert state.state == ("paused" if all_paused else "running")


@settings(max_examples=6 * settings().max_examples)
@given(history=histories(), sizes=st.lists(st.tuples(st.integers(0, 12), st.integers(0, 6)), max_size=12))
def test_watching_equals_reading_afterwards(history: History, sizes: list[tuple[int, int]]) -> None:
    """Each look finds some events more, and in the runs' logs, which it reads last, those of a moment later.

    A run's log is not read before the run is known.
    """
    own = [item for item in history.events if item[0] is None]
    watched = ExperimentState("x")
    now, own_read, read = 1 + len(RUN_IDS), 0, 0
    for size, later in [*sizes, (len(history.events), 0)]:
        now = min(len(history.events), now + size)
        upto = sum(1 for run, _ in history.events[:now] if run is None)
        fold(own[own_read:upto], watched)
        own_read = upto
        now = min(len(history.events), now + later)
        fold(log_by_log([item for item in history.events[read:now] if item[0] is not None]), watched)
        read = now
    fold(own[own_read:], watched)

    afterwards = fold(log_by_log(history.events))
    assert {id_: known(run) for id_, run in watched.runs.items()} == {
        id_: known(run) for id_, run in afterwards.runs.items()
    }
    assert watched.state == afterwards.state
    assert watched.counts() == {run.state: watched.counts()[run.state] for run in watched.runs.values()}


@settings(max_examples=6 * settings().max_examples)
@given(history=histories())
def test_reading_a_runs_log_again_tells_the_same(history: History) -> None:
    state = fold(log_by_log(history.events))
    before = {id_: known(run) for id_, run in state.runs.items()}
    for id_ in RUN_IDS:
        state.restart_run(id_)
        fold([item for item in history.events if item[0] == id_], state)
    assert {id_: known(run) for id_, run in state.runs.items()} == before
