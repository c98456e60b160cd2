"""Makes text from files, exceptions and users safe for a terminal; formats numbers and command lines."""

from __future__ import annotations

import contextlib
import math
import re
import shlex
from pathlib import Path

# C0 except newline and tab, DEL, C1, line and paragraph separators, and the characters that reorder or hide
# what a reader sees (bidi marks, embeddings, overrides, isolates, zero-width joiners aside).
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)

MAX_TIME = 253_402_128_000.0
"""Unix seconds, one day before the calendar's last year ends in every time zone: no later time is a date."""

_ASCII = str.maketrans(
    {"±": "+/-", "–": "-", "—": "-", "×": "x", "…": "...", "·": "-", "’": "'", "−": "-", "█": "#", "░": "."}
)


def _visible(match: re.Match[str]) -> str:
    code = ord(match.group())
    if code < 0x20:
        return chr(0x2400 + code)  # the control pictures: ␀ … ␟
    if code == 0x7F:
        return "␡"
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def safe_text(text: object, *, one_line: bool = False) -> str:
    """`text` with every control and bidi character replaced by a visible one.

    Newlines and tabs are kept unless `one_line`, which turns them into spaces.
    """
    shown = _UNSAFE.sub(_visible, str(text))
    return re.sub(r"[\n\t]+", " ", shown) if one_line else shown


def plain(text: str) -> str:
    """`text` in ASCII, what has no likeness there as an escape such as `\\u4e2d`."""
    return text.translate(_ASCII).encode("ascii", "backslashreplace").decode("ascii")


def stand_ins(text: str) -> str:
    """As `safe_text`, but with one character for each that is replaced, so that indices stay valid."""
    return _UNSAFE.sub(lambda found: visible if len(visible := _visible(found)) == 1 else "\ufffd", text).translate(
        {0x0A: "␊", 0x09: "␉"}
    )


def has_control_characters(text: str) -> bool:
    """Whether `text` holds anything that `safe_text` would replace, or a newline or tab."""
    return bool(_UNSAFE.search(text)) or "\n" in text or "\t" in text


def command_line(name: str, experiment: Path, *options: str) -> str:
    """The command line of the command `name` for the experiment in the folder `experiment`, from the working directory.

    Every message that suggests a command for an experiment uses it: without an argument, a command would mean the
    newest experiment. The folder may have any name and place, since experiments can be copied.
    """
    return safe_text(" ".join(["tui-attn", name, *_named(experiment), *options]), one_line=True)


def _named(experiment: Path) -> list[str]:
    """The arguments that name an experiment."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]*", experiment.name):
        return [shlex.quote(str(experiment))]
    runs_dir = experiment.parent
    with contextlib.suppress(OSError):
        if runs_dir == Path("runs").absolute():
            return [experiment.name]
        if runs_dir.is_relative_to(Path.cwd()):
            runs_dir = runs_dir.relative_to(Path.cwd())
    return [experiment.name, "--runs-dir", shlex.quote(str(runs_dir))]


def duration(seconds: float | None, *, tenths: bool = False) -> str:
    """`seconds` as `8s`, `3m 05s`, `2h 04m` or `3d 02h`; a dash when unknown.

    `tenths`: times below 10 s have a decimal, as in `2.4s`.
    """
    if seconds is None or not 0 <= seconds < 1e9:
        return "–"
    if tenths and round(seconds, 1) < 10:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02d}s"
    if whole < 86400:
        return f"{whole // 3600}h {whole % 3600 // 60:02d}m"
    return f"{whole // 86400}d {whole % 86400 // 3600:02d}h"


def percent(value: float | None, sign: str = "") -> str:
    """A fraction in per cent, followed by `sign`: `91.51`; a dash when unknown."""
    return "–" if value is None or not math.isfinite(value) else f"{100 * value:.2f}{sign}"


def size(n_bytes: float) -> str:
    """`n_bytes` in powers of 1,000: `812 B`, `31.2 MB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if round(abs(n_bytes), 0 if unit == "B" else 1) < 1000:
            return f"{n_bytes:.0f} {unit}" if unit == "B" else f"{n_bytes:.1f} {unit}"
        n_bytes /= 1000
    return f"{n_bytes:.1f} TB"
