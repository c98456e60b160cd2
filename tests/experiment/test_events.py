"""The codec: what goes in comes out, and nothing else ever does."""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.experiment.strategies import HOSTILE, any_events, json_values, payloads, texts
from tui_attn.experiment import events
from tui_attn.experiment.events import CONTROL_EVENTS, EXPERIMENT_EVENTS, RUN_EVENTS, Event

VOCABULARIES = {"experiment": EXPERIMENT_EVENTS, "run": RUN_EVENTS, "control": CONTROL_EVENTS}
EVERY_TYPE = [(name, type_) for name, vocabulary in VOCABULARIES.items() for type_ in vocabulary]

CONTROL: dict[str, Any] = {"id": "a1", "run": None}
EPOCH: dict[str, Any] = {
    "epoch": 1,
    "step": 469,
    "train_loss": 0.5,
    "train_accuracy": 0.8,
    "test_loss": 0.4,
    "test_accuracy": 0.85,
    "images": 60_000,
    "train_seconds": 2.5,
    "peak_memory": None,
}


def spelled(value: Any) -> Any:
    """What a value is after the codec: what JSON lacks is spelled, tuples are lists."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, Mapping):
        return {key: spelled(item) for key, item in value.items()}
    return [spelled(item) for item in value] if isinstance(value, list | tuple) else value


def sealed(record: object) -> bytes:
    """A line with a right checksum, whatever it says."""
    return sealed_text(json.dumps(record))


def sealed_text(text: str) -> bytes:
    """A line with a right checksum around `text`, which ends in a brace."""
    head = text[:-1].encode()
    return b'%s,"crc":"%08x"}' % (head, zlib.crc32(head))


def record(type_: str, /, **payload: Any) -> dict[str, Any]:
    """A record as the codec writes it, checksum aside."""
    return {"v": 1, "seq": 3, "t": 1.5, "type": type_, **payload}


@pytest.mark.parametrize(("vocabulary", "type_"), EVERY_TYPE)
@settings(max_examples=settings().max_examples // 8)
@given(data=st.data())
def test_an_event_of_every_type_comes_back_as_it_was(vocabulary: str, type_: str, data: st.DataObject) -> None:
    payload = data.draw(payloads(VOCABULARIES[vocabulary][type_]))
    line = events.encode(type_, payload, seq=7, t=1_700_000_000.1234)

    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert events.decode(line[:-1]) == Event(type_, 7, 1_700_000_000.123, spelled(payload))


@given(extra=st.dictionaries(texts().map("x-{}".format), json_values(), max_size=2))
def test_what_a_later_version_adds_comes_back_as_it_was(extra: dict[str, Any]) -> None:
    line = events.encode("pause", CONTROL | extra, seq=0, t=0.0)
    assert events.decode(line[:-1]) == Event("pause", 0, 0.0, CONTROL | spelled(extra))


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_texts_come_back_as_they_were(text: str) -> None:
    line = events.encode("warning", {"message": text}, seq=0, t=0.0)

    event = events.decode(line[:-1])
    assert event is not None
    assert event["message"] == text


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 5e-324, 1.7976931348623157e308, -0.0, 0.1, 2**53])
def test_numbers_come_back_as_they_were(value: float) -> None:
    line = events.encode("epoch", {**EPOCH, "test_loss": value}, seq=0, t=0.0)

    event = events.decode(line[:-1])
    assert event is not None
    back = events.number(event["test_loss"])
    assert back == value or (math.isnan(back) and math.isnan(value))
    assert math.copysign(1, back) == math.copysign(1, value)


def test_the_line_is_plain_json_whose_last_member_is_the_crc_of_what_stands_before() -> None:
    line = events.encode("pause", CONTROL, seq=4, t=1.0)
    before, _, _ = line.partition(b',"crc"')

    found = json.loads(line)
    assert list(found.items())[-1] == ("crc", f"{zlib.crc32(before):08x}")
    assert found == {"v": 1, "seq": 4, "t": 1.0, "type": "pause", "id": "a1", "run": None, "crc": found["crc"]}


@given(event=any_events())
def test_a_line_with_one_bit_flipped_is_no_event(event: Event) -> None:
    line = events.encode(event.type, event.data, seq=event.seq, t=event.t)[:-1]
    for bit in range(0, len(line) * 8, max(1, len(line) // 25)):
        flipped = bytearray(line)
        flipped[bit // 8] ^= 1 << bit % 8
        assert events.decode(bytes(flipped)) is None


@pytest.mark.parametrize(
    "line", [events.encode("epoch", EPOCH, seq=1, t=2.0), events.encode("stop", CONTROL, seq=0, t=1e9)]
)
def test_no_flipped_bit_and_no_truncation_of_a_line_goes_unnoticed(line: bytes) -> None:
    for bit in range((len(line) - 1) * 8):
        flipped = bytearray(line[:-1])
        flipped[bit // 8] ^= 1 << bit % 8
        assert events.decode(bytes(flipped)) is None
    for length in range(len(line) - 1):
        assert events.decode(line[:length]) is None


@given(line=st.binary(max_size=200))
def test_arbitrary_bytes_are_no_event(line: bytes) -> None:
    assert events.decode(line) is None


@given(middle=st.binary(max_size=80), type_=st.sampled_from([type_ for _, type_ in EVERY_TYPE]))
def test_sealed_garbage_never_raises(middle: bytes, type_: str) -> None:
    head = b'{"v":1,"seq":1,"t":1,"type":"%s",%s' % (type_.encode(), middle)
    found = events.decode(b'%s,"crc":"%08x"}' % (head, zlib.crc32(head)))
    assert found is None or found.type == type_


@given(data=st.data(), value=json_values())
def test_a_field_of_any_value_never_raises(data: st.DataObject, value: Any) -> None:
    vocabulary, type_ = data.draw(st.sampled_from(EVERY_TYPE))
    payload = {name: spelled(item) for name, item in data.draw(payloads(VOCABULARIES[vocabulary][type_])).items()}
    whole = record(type_, **payload)
    whole[data.draw(st.sampled_from(sorted(whole)))] = value

    event = events.decode(sealed(whole))
    assert event is None or event.type == whole["type"]


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(sealed(record("pause", **CONTROL) | {"t": 10**400}), id="a time too large for a float"),
        pytest.param(sealed(record("pause", **CONTROL) | {"t": 1e15}), id="a time beyond the calendar"),
        pytest.param(sealed(record("pause", **CONTROL) | {"t": -1}), id="a time before 1970"),
        pytest.param(sealed(record("pause", **CONTROL) | {"t": math.nan}), id="a time that is no number"),
        pytest.param(sealed(record("pause", **CONTROL) | {"seq": True}), id="a truth for a whole number"),
        pytest.param(sealed(record("pause", **CONTROL) | {"v": 2}), id="a later version"),
        pytest.param(sealed(record("pause", id="a1")), id="a field too few"),
        pytest.param(sealed(record("explode", **CONTROL)), id="a type of no vocabulary"),
        pytest.param(sealed(record("epoch", **EPOCH, extra=1) | {"test_loss": [1.0]}), id="a list for a number"),
        pytest.param(sealed(record("epoch", **EPOCH) | {"test_loss": "0.4"}), id="a text for a number"),
        pytest.param(sealed(record("epoch", **EPOCH) | {"epoch": 10**30}), id="a whole number beyond all measure"),
        pytest.param(sealed(record("epoch", **EPOCH) | {"epoch": 1.0}), id="a fraction for a whole number"),
        pytest.param(sealed(record("extended", seeds=2, run=["se-s0"])), id="a run that is no text"),
        pytest.param(sealed([1, 2]), id="a list"),
        pytest.param(sealed_text('{"v":1,"a":' + "[" * 100_000 + "}"), id="too deep"),
        pytest.param(sealed_text('{"v":1,"seq":' + "9" * 5000 + "}"), id="too many digits"),
        pytest.param(b'\xff\xfe{"v":1,"crc":"00000000"}', id="another encoding"),
    ],
)
def test_a_sealed_line_that_makes_no_sense_is_no_event(line: bytes) -> None:
    assert events.decode(line) is None


def test_fields_of_a_later_version_are_kept() -> None:
    event = events.decode(sealed(record("pause", **CONTROL, colour="green")))
    assert event is not None
    assert event.get("colour") == "green"
    assert event.get("shape", "none") == "none"


def test_a_line_of_more_than_the_most_is_no_event() -> None:
    room = events.MAX_LINE - len(events.encode("warning", {"message": ""}, seq=0, t=0.0)) + 1
    fits = events.encode("warning", {"message": "x" * room}, seq=0, t=0.0)[:-1]
    head = fits.rpartition(b',"crc"')[0].replace(b'"xx', b'"xxx', 1)
    longer = b'%s,"crc":"%08x"}' % (head, zlib.crc32(head))

    assert len(fits) == events.MAX_LINE
    assert events.decode(fits) is not None
    assert events.decode(longer) is None


@pytest.mark.parametrize(
    ("type_", "payload", "t"),
    [
        ("pause", {"id": 1, "run": None}, 0.0),
        ("pause", {"id": "a1"}, 0.0),
        ("pause", {"id": "a1", "run": None, "crc": "1"}, 0.0),
        ("pause", {"id": "a1", "run": None, "seq": 1}, 0.0),
        ("explode", {}, 0.0),
        ("epoch", {**EPOCH, "epoch": True}, 0.0),
        ("epoch", {**EPOCH, "step": 10**30}, 0.0),
        ("pause", CONTROL, math.nan),
        ("pause", CONTROL, -5.0),
    ],
)
def test_what_could_not_be_read_is_not_written(type_: str, payload: dict[str, Any], t: float) -> None:
    with pytest.raises(ValueError, match="not a valid"):
        events.encode(type_, payload, seq=0, t=t)


@pytest.mark.parametrize("value", ["1.0", "nan", "inf", "", None, [1], {}, 10**400])
def test_what_is_no_number_is_refused_as_one(value: object) -> None:
    with pytest.raises((ValueError, TypeError)):
        events.number(value)


def test_a_text_too_long_to_be_read_is_cut_and_other_payloads_are_refused() -> None:
    line = events.encode("warning", {"message": "x" * 2 * events.MAX_LINE}, seq=0, t=0.0)
    event = events.decode(line[:-1])
    assert event is not None
    assert event["message"] == "x" * events.MOST_TEXT
    with pytest.raises(ValueError, match="at most"):
        events.encode(
            "probe", {"epoch": 1, "file": "a.npz", "gates": {"layer": [0.123456789] * 1_000_000}}, seq=0, t=0.0
        )
