"""What hypothesis draws from: events of every type, with hostile texts and odd numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from tui_attn.experiment.events import CONTROL_EVENTS, EXPERIMENT_EVENTS, RUN_EVENTS, Event, Types

RUNS = ("base-s0", "se-s0", "self-attention-s1")
"""The runs that drawn events speak of; few, so that they meet."""

HOSTILE = (
    "",
    "\x1b]0;title\x07\x1b[2J",
    "\x9b31m",
    "[/bold][red]x[@click=app.quit]y[/]",
    '","crc":"00000000"}\n{"v":1',
    "line\nbreak\r\ttab\x00nul\x7f",
    "\u202egnp.exe\u2066\u2069\u200f\ufeff\u2028\u2029",
    "\ud800 a lone surrogate \udfff",
    "\\ud800 \\u0000 \\",
    "emoji \U0001f600 e\u0301 漢字",
    "NaN",
    "../../etc/passwd",
)
"""Texts that have broken terminals, parsers or file systems."""


def texts() -> SearchStrategy[str]:
    """Any text, surrogates included."""
    # High surrogates would join a low one that follows to one character, as they do in JSON.
    alone = st.characters(exclude_categories=(), max_codepoint=0x10FFFF).filter(lambda c: not "\ud800" <= c <= "\udbff")
    return st.sampled_from(HOSTILE) | st.text(alone, max_size=30)


def numbers() -> SearchStrategy[float | int]:
    """Numbers as measurements go wrong: tiny, huge, not finite."""
    return st.floats(width=64) | st.integers(-(2**62), 2**62)


def json_values() -> SearchStrategy[Any]:
    """Anything JSON can hold."""
    leaves = st.none() | st.booleans() | st.integers() | st.floats() | texts()
    return st.recursive(leaves, lambda inner: st.lists(inner) | st.dictionaries(texts(), inner), max_leaves=8)


def _of(types: Types) -> SearchStrategy[Any]:
    one: dict[type, SearchStrategy[Any]] = {
        str: texts(),
        bool: st.booleans(),
        int: st.integers(-(2**62), 2**62),
        float: st.floats(),
        type(None): st.none(),
        list: st.lists(numbers() | texts(), max_size=5),
        dict: st.dictionaries(texts(), st.lists(numbers(), max_size=4), max_size=3),
    }
    return st.one_of([one[kind] for kind in (types if isinstance(types, tuple) else (types,))])


_SMALL = st.integers(-1, 12)
_SENSIBLE: dict[str, SearchStrategy[Any]] = {
    "run": st.sampled_from(RUNS) | st.none(),
    "model": st.sampled_from(["base", "se"]),
    "state": st.sampled_from(["finished", "stopped", "skipped", "failed", "running", "?"]),
    "loss": st.lists(numbers(), min_size=2, max_size=2),
    "accuracy": st.lists(numbers(), min_size=2, max_size=2),
    "step": _SMALL | st.lists(_SMALL, min_size=2, max_size=2).map(sorted),
    "file": st.just("epoch-00001.npz"),
} | dict.fromkeys(("epoch", "from_step", "epochs", "steps_per_epoch", "seed"), _SMALL)
"""What these fields hold in logs of ours, so that drawn events don't only bounce off."""


@st.composite
def payloads(draw: st.DrawFn, fields: Mapping[str, Types]) -> dict[str, Any]:
    """A payload that the codec accepts for an event with these `fields`."""
    found: dict[str, Any] = {}
    for name, types in fields.items():
        likely = _SENSIBLE.get(name)
        allowed = types if isinstance(types, tuple) else (types,)
        value = draw(likely) if likely is not None and draw(st.integers(0, 9)) else None
        found[name] = value if type(value) in allowed else draw(_of(types))
    return found


@st.composite
def events(draw: st.DrawFn, vocabulary: Mapping[str, Mapping[str, Types]]) -> Event:
    """An event of `vocabulary`."""
    type_ = draw(st.sampled_from(sorted(vocabulary)))
    t = draw(st.floats(0, 4e9) | st.just(1_700_000_000.0))
    return Event(type_, draw(st.integers(0, 2**40)), round(t, 3), draw(payloads(vocabulary[type_])))


def any_events() -> SearchStrategy[Event]:
    """An event of any log."""
    return events(EXPERIMENT_EVENTS) | events(RUN_EVENTS) | events(CONTROL_EVENTS)
