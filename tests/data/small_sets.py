"""Small data sets in the real formats, and a web server that misbehaves on request."""

from __future__ import annotations

import gzip
import hashlib
import io
import struct
import tarfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tui_attn.data.base import Archive, DataError, DataFile, DatasetInfo, DebianPackage, FetchOptions, Limits, Located

Images = NDArray[np.uint8]
Labels = NDArray[np.int64]


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@dataclass
class Made:
    """A made data set: what is known of it, and its files' bytes by name."""

    info: DatasetInfo
    raw: dict[str, bytes]
    train: tuple[Images, Labels]
    test: tuple[Images, Labels]
    packed: dict[str, bytes] = field(default_factory=dict)
    archive: bytes = b""

    def write_raw(self, folder: Path) -> Path:
        return write(folder, self.raw)

    def write_packed(self, folder: Path) -> Path:
        return write(folder, {f"{name}.gz": content for name, content in self.packed.items()})


def names_in(folder: Path) -> list[str]:
    """The names in a folder, hidden ones too, sorted."""
    return sorted(path.name for path in folder.iterdir())


def write(folder: Path, files: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def some_images(count: int, channels: int, side: int, classes: int, seed: int) -> tuple[Images, Labels]:
    generator = np.random.default_rng(seed)
    images = generator.integers(0, 256, (count, channels, side, side), dtype=np.uint8)
    return images, generator.integers(0, classes, count)


def idx_bytes(array: NDArray[np.uint8]) -> bytes:
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


def make_idx_set(train: int = 40, test: int = 12, side: int = 8, seed: int = 0, name: str = "made") -> Made:
    """A set in the format of MNIST; its name, like all that is made here, is not one of the catalogue."""
    train_set = some_images(train, 1, side, 10, seed)
    test_set = some_images(test, 1, side, 10, seed + 1)
    raw = {
        "train-images-idx3-ubyte": idx_bytes(train_set[0][:, 0]),
        "train-labels-idx1-ubyte": idx_bytes(train_set[1].astype(np.uint8)),
        "t10k-images-idx3-ubyte": idx_bytes(test_set[0][:, 0]),
        "t10k-labels-idx1-ubyte": idx_bytes(test_set[1].astype(np.uint8)),
    }
    packed = {key: gzip.compress(content, mtime=0) for key, content in raw.items()}
    files = tuple(
        DataFile(key, len(content), sha256(content), len(packed[key]), sha256(packed[key]))
        for key, content in raw.items()
    )
    info = DatasetInfo(
        name=name,
        title="Made-MNIST",
        class_names=tuple("0123456789"),
        channels=1,
        image_size=side,
        train_size=train,
        test_size=test,
        mean=(0.5,),
        std=(0.3,),
        licence="none",
        layout="idx",
        folder="MadeMNIST/raw",
        files=files,
    )
    return Made(info, raw, train_set, test_set, packed)


# --- pickles as Python 2's cPickle wrote them with protocol 2: opcode by opcode what CIFAR's files hold -------------


class _Pickle:
    """Writes what cPickle writes, with a memo entry for everything that can be referred to."""

    def __init__(self) -> None:
        self._memo = 0

    def put(self, made: bytes) -> bytes:
        self._memo += 1
        return made + (b"q" + bytes([self._memo]) if self._memo < 256 else b"r" + struct.pack("<I", self._memo))

    def string(self, text: bytes) -> bytes:
        return self.put(_once(text))

    def whole(self, number: int) -> bytes:
        if 0 <= number < 256:
            return b"K" + bytes([number])
        if 0 <= number < 65536:
            return b"M" + struct.pack("<H", number)
        return b"J" + struct.pack("<i", number)

    def items(self, items: Sequence[int | bytes]) -> bytes:
        """A list: cPickle appends in runs of a thousand."""
        made = self.put(b"]")
        for start in range(0, len(items), 1000):
            run = items[start : start + 1000]
            made += b"(" + b"".join(self.whole(x) if isinstance(x, int) else self.string(x) for x in run) + b"e"
        return made

    def array(self, images: Images, code: bytes) -> bytes:
        """Tuples, and strings that only the array refers to, get no memo entry."""
        data = images.reshape(len(images), -1)
        made = self.put(b"cnumpy.core.multiarray\n_reconstruct\n") + self.put(b"cnumpy\nndarray\n")
        made = self.put(made + self.whole(0) + b"\x85" + _once(b"b") + b"\x87R")
        made += b"(" + self.whole(1) + self.whole(data.shape[0]) + self.whole(data.shape[1]) + b"\x86"
        made += self.put(b"cnumpy\ndtype\n") + _once(code) + self.whole(0) + self.whole(1) + b"\x87R"
        made = self.put(made)
        made += b"(" + self.whole(3) + _once(b"|") + b"NNN" + self.whole(-1) + self.whole(-1) + self.whole(0) + b"tb"
        return made + b"\x89" + _once(data.tobytes()) + b"tb"


def _once(text: bytes) -> bytes:
    if len(text) < 256:
        return b"U" + bytes([len(text)]) + text
    return b"T" + struct.pack("<i", len(text)) + text


def batch_pickle(
    images: Images, labels: Sequence[int | bytes], label_key: bytes = b"labels", code: bytes = b"u1"
) -> bytes:
    """A batch: {batch_label, labels, data, filenames}, in the order of CIFAR-10's own."""
    out = _Pickle()
    made = b"\x80\x02" + out.put(b"}") + b"("
    made += out.string(b"batch_label") + out.string(b"training batch 1 of 5")
    made += out.string(label_key) + out.items(labels)
    made += out.string(b"data") + out.array(images, code)
    made += out.string(b"filenames")
    made += out.items([b"leptodactylus_pentadactylus_s_%06d.png" % number for number in range(len(labels))])
    return made + b"u."


def meta_pickle(names: Sequence[bytes]) -> bytes:
    """`batches.meta`: the names of the classes, and two numbers."""
    out = _Pickle()
    made = b"\x80\x02" + out.put(b"}") + b"(" + out.string(b"num_cases_per_batch") + out.whole(10_000)
    made += out.string(b"label_names") + out.items(names) + out.string(b"num_vis") + out.whole(3072)
    return made + b"u."


def make_cifar_set(per_batch: int = 15, test: int = 10, side: int = 8, seed: int = 3, name: str = "made-cifar") -> Made:
    """A set in the format of CIFAR-10: five batches, a test batch and names, in a .tar.gz."""
    train_set = some_images(5 * per_batch, 3, side, 10, seed)
    test_set = some_images(test, 3, side, 10, seed + 1)
    raw = {}
    for batch in range(5):
        part = slice(batch * per_batch, (batch + 1) * per_batch)
        raw[f"data_batch_{batch + 1}"] = batch_pickle(train_set[0][part], train_set[1][part].tolist())
    raw["test_batch"] = batch_pickle(test_set[0], test_set[1].tolist())
    raw["batches.meta"] = meta_pickle([b"a", b"b", b"c", b"d", b"e", b"f", b"g", b"h", b"i", b"j"])
    archive = tar_gz({f"made-batches-py/{key}": content for key, content in raw.items()})
    info = DatasetInfo(
        name=name,
        title="Made-CIFAR",
        class_names=tuple("abcdefghij"),
        channels=3,
        image_size=side,
        train_size=5 * per_batch,
        test_size=test,
        mean=(0.5,) * 3,
        std=(0.3,) * 3,
        licence="none",
        layout="cifar",
        folder="made-batches-py",
        files=tuple(DataFile(key, len(content), sha256(content)) for key, content in raw.items()),
        archive=Archive("made-python.tar.gz", len(archive), sha256(archive), ()),
    )
    return Made(info, raw, train_set, test_set, archive=archive)


def tar_gz(members: dict[str, bytes], extra: Sequence[tarfile.TarInfo] = ()) -> bytes:
    """A .tar.gz of `members`, after the (empty) `extra` ones."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for member in extra:
            archive.addfile(member)
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return gzip.compress(out.getvalue(), mtime=0)  # the same bytes in every process


def with_archive(made: Made, archive: bytes) -> Made:
    """`made` with another archive, whose digest is pinned in place of its own."""
    assert made.info.archive is not None
    pinned = made.info.archive._replace(size=len(archive), sha256=sha256(archive))
    return replace(made, info=replace(made.info, archive=pinned), archive=archive)


def with_urls(made: Made, *urls: str) -> DatasetInfo:
    """The set's info with these addresses: of folders of .gz files, or of archives."""
    if made.info.archive is not None:
        return replace(made.info, archive=made.info.archive._replace(urls=urls))
    return replace(made.info, urls=urls)


def with_debian(made: Made, folder: Path) -> DatasetInfo:
    return replace(made.info, debian=DebianPackage("dataset-made", str(folder), 10_000))


# --- a web server ---------------------------------------------------------------------------------------------------


@dataclass
class Server:
    """What a server serves and how, and what it was asked for."""

    files: dict[str, bytes]
    url: str = ""
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    """(path, Range header) of every request."""
    ranges: bool = True
    """Honour Range headers."""
    break_after: list[int] = field(default_factory=list)
    """Break the connection off after so many bytes of the body, one entry for each request, then no more."""
    answer: Callable[[str], tuple[int, dict[str, str], bytes] | None] = lambda path: None
    """Answers instead of the files where it returns something: status, headers, body."""
    hold: threading.Event | None = None
    """Wait for this before the body is sent."""
    announce_length: bool = True

    @property
    def paths(self) -> list[str]:
        return [path for path, _ in self.asked]


@contextmanager
def serving(files: dict[str, bytes]) -> Iterator[Server]:
    """Serve `files`, by path without the leading slash, on this machine."""
    server = Server(files)

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            server.asked.append((self.path, wanted))
            special = server.answer(self.path)
            if special is not None:
                self._send(special[0], special[1], special[2])
                return
            content = server.files.get(self.path.lstrip("/"))
            if content is None:
                self._send(404, {}, b"no such file")
                return
            if wanted and server.ranges:
                start = int(wanted.removeprefix("bytes=").removesuffix("-"))
                if start >= len(content):
                    self._send(416, {}, b"")
                    return
                described = {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"}
                self._send(206, described, content[start:])
                return
            self._send(200, {}, content)

        def _send(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if server.announce_length:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if server.hold is not None:
                server.hold.wait(240)
            if server.break_after and status in (200, 206):
                body = body[: server.break_after.pop(0)]
            self.close_connection = True
            with suppress(ConnectionError):  # the other side may have had enough
                self.wfile.write(body)

    listener = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    listener.daemon_threads = True
    server.url = f"http://127.0.0.1:{listener.server_address[1]}/"
    thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        if server.hold is not None:
            server.hold.set()
        listener.shutdown()
        listener.server_close()
        thread.join()


# --- asking -----------------------------------------------------------------------------------------------------------

QUICK = FetchOptions(limits=Limits(connect=60.0, stall=60.0, retries=1, pause=0.001))
OFFLINE = FetchOptions(offline=True)


def contents(where: Located) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in where.files}


def lines_of(caught: pytest.ExceptionInfo[DataError]) -> list[str]:
    """The lines of an error for the user: never more than two."""
    lines = str(caught.value).splitlines()
    assert len(lines) <= 2
    return lines
