"""Hostile input: folders, images, options, configuration files and environments that nobody designed for.

Each ends in success that says what is odd, or in an error of two lines at most with exit code 2 (1 from `data`, whose
answer is the list of what is wrong); never in a traceback, and nothing is written.
"""

import json
import os
import shutil
import socket
import struct
import unicodedata
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.data.pictures import labelled, picture, save
from tests.program.conftest import harmless
from tui_attn.cli import entry as cli
from tui_attn.data.decode import decode

Make = Callable[[Path], object]


def said(capsys: pytest.CaptureFixture[str]) -> tuple[str, list[str]]:
    """What is on stdout, and the lines of stderr besides progress."""
    shown = capsys.readouterr()
    harmless(shown.out + shown.err)
    talk = [line for line in shown.err.splitlines() if not line.startswith(("listing", "reading", "checking"))]
    assert len(talk) <= 2
    return shown.out, talk


# ---- folders


def splits(root: Path, *names: str) -> None:
    for name in names:
        labelled(root / name)


def socket_in(folder: Path) -> None:
    labelled(folder)
    here = Path.cwd()
    os.chdir(folder / "a")  # a path to a socket is short
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind("s.png")
    finally:
        os.chdir(here)


def named(*classes: str) -> Make:
    return lambda root: labelled(root, classes)


def with_entry(path: str, make: Make) -> Make:
    def both(root: Path) -> None:
        labelled(root)
        make(root / path)

    return both


def half_coded(root: Path) -> None:
    labelled(root / "train", ("a", unicodedata.normalize("NFC", "\u00e9")))
    labelled(root / "test", ("a", unicodedata.normalize("NFD", "\u00e9")))


def without_pictures(root: Path) -> None:
    for split in ("train", "val"):
        picture(root / split / "images" / "1.png")
        (root / split / "labels").mkdir()


def flat_split(root: Path) -> None:
    splits(root, "train")
    picture(root / "val" / "1.png")


def copied(root: Path) -> None:
    labelled(root)
    for index in range(4):
        shutil.copy(root / "a" / "0.png", root / "a" / f"copy{index}.png")


def linked_class(root: Path) -> None:
    labelled(root, ("a",))
    (root / "b").symlink_to(root / "a")


def linked_split(root: Path) -> None:
    splits(root, "train")
    (root / "test").symlink_to(root / "train")


def report_at(place: str) -> Make:
    """A report that was written into the data set's folder, or into a class."""

    def make(root: Path) -> None:
        labelled(root)
        picture(root / place / "pictures" / "seeds.png")
        (root / place / "tables").mkdir()
        files = {"report.html": "", "pictures/seeds.png": "", "tables/runs.csv": ""}
        (root / place / "report.json").write_text(json.dumps({"format": "tui-attn-report", "files": files}))

    return make


FOLDERS: dict[str, tuple[Make, int, str]] = {
    "names that differ in coding": (named("\u00e9", "e\u0301"), 0, "warning: names of classes differ"),
    "coded otherwise in the test set": (half_coded, 1, "the coding of accents (NFC or NFD), count"),
    "names like options": (named("-rf", "--help", "~"), 0, "12 training images (--help 4, -rf 4, ~ 4)"),
    "a name that turns the text": (named("a\u202eb", "c"), 1, "rename the class folder a\\u202eb"),
    "a name of two lines": (named("a\nb", "c"), 1, "rename the class folder a b"),
    "a pipe": (with_entry("a/x.png", os.mkfifo), 1, "a/x.png is not a file"),
    "a socket": (socket_in, 1, "a/s.png is not a file"),
    "links to nowhere": (
        with_entry("a/x.png", lambda p: p.symlink_to("/nowhere/x")),
        1,
        "x.png can't be read: no such",
    ),
    "a link to itself": (with_entry("a/x.png", lambda p: p.symlink_to(p)), 1, "a/x.png is not a file"),
    "a folder called like an image": (with_entry("a/x.png/1.png", picture), 0, "9 training images"),
    "a file called like a split": (with_entry("train", lambda p: p.write_text("")), 0, "1 without an extension"),
    "an escape in a name": (with_entry("a/\x1b[2J.png", lambda p: p.write_text("no")), 1, "a/␛[2J.png is damaged"),
    "a class linked to another": (linked_class, 0, "warning: 5 pictures are in more than one class"),
    "a split linked to the other": (linked_split, 0, "warning: each of the 10 test images is a copy"),
    "boxes instead of classes": (without_pictures, 1, "train/labels, val/labels hold no images"),
    "a split without classes": (flat_split, 1, "val holds 0 class folders"),
    "copies within a class": (copied, 0, "training images are copies of others"),
    "four splits": (lambda root: splits(root, "train", "test", "val", "extra"), 0, "passed over folders beside"),
    "a report in the folder": (report_at("."), 0, "8 training images (a 4, b 4), 2 test images"),
    "a report in a class": (report_at("a"), 0, "8 training images (a 4, b 4), 2 test images"),
    "nothing": (lambda root: root.mkdir(), 1, "holds 0 class folders"),
    "pictures and no folders": (lambda root: picture(root / "1.png"), 1, "holds 0 class folders"),
    "a file": (lambda root: root.write_bytes(b"PK"), 1, "not a directory: give a folder of images"),
    "a link in a circle": (lambda root: root.symlink_to(root), 1, "too many levels of symbolic links"),
}


@pytest.mark.parametrize("what", FOLDERS)
def test_a_folder(what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make, code, words = FOLDERS[what]
    root = tmp_path / "images"
    make(root)
    before = sorted(str(path) for path in tmp_path.rglob("*"))
    assert cli.run(["data", f"folder:{root}"]) == code
    out, talk = said(capsys)
    assert words in out + "\n".join(talk)
    assert sorted(str(path) for path in tmp_path.rglob("*")) == before


# ---- images


def colours_of_16_bits(path: Path, values: NDArray[Any], kind: int) -> None:
    """A PNG of 16 bits a channel, from values (H, W, C); Pillow can't write one."""
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], 16, kind, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts))


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def below(limit: int, *shape: int) -> NDArray[np.int64]:
    return np.random.default_rng().integers(0, limit, (16, 16, *shape))


def bomb(path: Path) -> None:
    """A PNG whose comment grows to 100 MB."""
    content = save(path, below(256, 3).astype(np.uint8)).read_bytes()
    comment = chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(100_000_000)))
    path.write_bytes(content[:33] + comment + content[33:])


def cut(path: Path) -> None:
    save(path, below(256, 3).astype(np.uint8))
    path.write_bytes(path.read_bytes()[:-40])


def clear(path: Path) -> None:
    save(path, np.dstack([below(256, 3), np.zeros((16, 16))]).astype(np.uint8))


def infinite(path: Path) -> None:
    save(path, np.where(below(2) > 0, np.inf, below(9) / 8).astype(np.float32))


def tiny(path: Path) -> None:
    save(path, below(256, 3).astype(np.uint8)[:1, :1])


def postscript(path: Path) -> None:
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 1 1\n")


def letters(path: Path) -> None:
    path.write_bytes(b"P3 9 9 255 x %d" % below(2**60)[0, 0])


def far_apart(path: Path) -> None:
    save(path, (below(3, 1)[..., 0] * 3e38 - 3e38).astype(np.float32))


FAINT = "8 of 8 images have almost no contrast"
IMAGES: dict[str, tuple[str, Make, int, str]] = {
    "12 bits in colours of 16": ("png", lambda p: colours_of_16_bits(p, below(4096, 3), 2), 0, FAINT),
    "12 bits in greys of 16 with alpha": (
        "png",
        lambda p: colours_of_16_bits(p, np.dstack([below(4096), np.full((16, 16), 65535)]), 4),
        0,
        FAINT,
    ),
    "colours of 16 bits": ("png", lambda p: colours_of_16_bits(p, below(65536, 3), 2), 0, "6 training images"),
    "nothing but transparency": ("png", clear, 0, FAINT),
    "one grey": ("png", lambda p: save(p, (128 + below(10)).astype(np.uint8)), 0, FAINT),
    "floats near one value": ("tif", lambda p: save(p, (0.5 + below(9) / 1e3).astype(np.float32)), 0, FAINT),
    "floats beyond each other's range": ("tif", far_apart, 0, "values -3e+38 to 3e+38 become 0 to 255"),
    "infinities": ("tif", infinite, 0, "values 0 to 1 become 0 to 255"),
    "no number at all": ("tif", lambda p: save(p, np.full((8, 8), np.nan, np.float32)), 1, "holds no finite value"),
    "one pixel": ("png", tiny, 0, FAINT),
    "an error page": ("jpg", lambda p: p.write_text("<html>404"), 1, "is damaged, or no image of a known format"),
    "a pointer of Git LFS": (
        "png",
        lambda p: p.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"),
        1,
        "is in Git LFS: fetch it with 'git lfs pull'",
    ),
    "PostScript": ("png", postscript, 1, "is damaged"),
    "a phone's format": ("jpg", lambda p: p.write_bytes(b"\0\0\0\x18ftypheic" + bytes(99)), 1, "no image of a known"),
    "a comment that grows": ("png", bomb, 1, "is damaged"),
    "cut off": ("png", cut, 1, "is damaged"),
    "letters for pixels": ("ppm", letters, 1, "is damaged"),
}


@pytest.mark.parametrize("what", IMAGES)
def test_images(what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ending, make, code, words = IMAGES[what]
    for label in ("a", "b"):
        (tmp_path / label).mkdir()
        for index in range(4):
            make(tmp_path / label / f"{index}.{ending}")
    assert cli.run(["data", f"folder:{tmp_path}"]) == code
    out, talk = said(capsys)
    assert words in out + "\n".join(talk)


def test_floats_beyond_each_others_range_keep_their_content(tmp_path: Path) -> None:
    image = save(tmp_path / "1.tif", np.full((8, 8), 1e38, np.float32))
    assert (decode(image.read_bytes(), {"float": (-3e38, 3e38)}) == 170).all()


# ---- options

OPTIONS: dict[str, tuple[list[str], str]] = {
    "a list in two parts": (["--models", "base", "--models", "bogus"], "unknown model 'bogus'"),
    "a list in two parts, first part": (["--models", "bogus", "--models", "base"], "unknown model 'bogus'"),
    "looks in two parts": (["--looks", "5", "--looks", "4"], "not 5,4"),
    "thousands": (["--epochs", "1,000", "--seeds", "x"], "--seeds: must be a whole number"),
    "half a thousand": (["--epochs", "1,00"], "--epochs: must be a whole number"),
    "thousands of digits": (["--epochs", "9" * 5000], "--epochs: must be a whole number"),
    "a number below all": (["--lr", "1e-400"], "--lr: must be a number above 0"),
    "blanks for a path": (["--runs-dir", " "], "--runs-dir: is empty"),
    "a file for data": (["--dataset", "mnist", "--data-dir", "/etc/passwd"], "is not a folder"),
    "zeros for a file": (["--config", "/dev/zero"], "is larger than 1 MB"),
    "a folder for a file": (["--config", "/"], "Is a directory"),
    "a drive for a module": (["--models", "torchvision.models:resnet18"], "a model of your own is in a Python file"),
    "an attribute for a class": (["--models", "./x.py:a.b"], "'a.b' can't be the name of a class"),
    "no class": (["--models", "x.py:"], "'' can't be the name of a class"),
    "an address": (["--dataset", "folder:file:///tmp/x"], "give a folder of images"),
    "a pattern": (["--dataset", "folder:*"], "give a folder of images"),
    "a variable": (["--dataset", "folder:$HOME/x"], "give a folder of images"),
    "a path of 5,000 letters": (["--dataset", f"folder:{'x' * 5000}"], "give a folder of images"),
    "runs in the way": (["--dataset", "folder:images", "--runs-dir", "/dev/null"], "choose another folder"),
    "runs in the system": (["--dataset", "folder:images", "--runs-dir", "/proc/x"], "choose another folder"),
    "a wait for no number": (["wait", "--timeout", "nan"], "--timeout: must be a number of seconds, not nan"),
    "a set in capitals": (["data", "Folder:nowhere"], "nowhere can't be read"),
    "a data set for a command": (["folder:images"], "No such command"),
}


@pytest.mark.parametrize("what", OPTIONS)
def test_an_option(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments, words = OPTIONS[what]
    monkeypatch.chdir(tmp_path)
    labelled(tmp_path / "images")
    before = sorted(str(path) for path in tmp_path.rglob("*"))
    expected = 1 if arguments[0] == "data" else 2
    start = ["--no-ui", "--detach", "--dataset", "folder:nowhere", *arguments]
    assert cli.run(start if arguments[0].startswith("-") else arguments) == expected
    talk = said(capsys)[1]
    assert words in "\n".join(talk)
    assert sorted(str(path) for path in tmp_path.rglob("*")) == before


# ---- configuration files

CONFIGURATIONS: dict[str, tuple[bytes, str]] = {
    "UTF-16": ("epochs=3".encode("utf-16"), "save it as UTF-8"),
    "a zero byte": (b"epochs\0=3", "no valid TOML"),
    "JSON": (b'{"epochs": 3}', "no valid TOML"),
    "YAML": (b"epochs: 3", "no valid TOML"),
    "a date": (b"epochs = 2024-01-01", "line 1, epochs: must be a whole number"),
    "a number in quotes": (b'epochs = "5"', 'epochs: must be a whole number from 1 to 1,000,000, not the text "5"'),
    "a truth": (b"epochs = true", "line 1, epochs: must be a whole number"),
    "a whole number with a point": (b"epochs = 5.0", "line 1, epochs: must be a whole number"),
    "infinity": (b"lr = inf", "line 1, lr: must be a number"),
    "thousands of digits": (b"epochs = " + b"9" * 5000, "it has a number of more than 4,300 digits"),
    "thousands of brackets": (b"a = " + b"[" * 5000, "nested too deeply"),
    "a blank path": (b'runs-dir = " "', "line 1, runs-dir: must be a path"),
    "a blank place": (b'data-dir = " "', "line 1, data-dir: must be a path"),
    "lists of lists": (b"models = [['base']]", "line 1, models: unknown model"),
    "tables for names": (b"[[models]]\nname = 'se'", "models: unknown model"),
    "another program's file": (b"[project]\nname = 'x'", "unknown table 'project'"),
    "an escape in a key": (b'"a\\u001bb" = 1', "unknown key 'a\xe2\x90\x9bb'".encode("latin-1").decode()),
    "a text without an end": (b'name = "x', "no valid TOML"),
    "a megabyte of name": (b"name = '" + b"x" * 900_000 + b"'", "200 at most"),
}


@pytest.mark.parametrize("what", CONFIGURATIONS)
def test_a_configuration(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    content, words = CONFIGURATIONS[what]
    (tmp_path / "c.toml").write_bytes(content)
    monkeypatch.chdir(tmp_path)
    assert cli.run(["--config", "c.toml", "--no-ui", "--dataset", "folder:nowhere"]) == 2
    (line,) = said(capsys)[1]
    assert words in line
