"""Downloads over https: capped, resumed by Range, with time-outs that do not keep an offline user waiting."""

from __future__ import annotations

import http.client
import ipaddress
import os
import socket
import ssl
import stat
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from tui_attn.data.base import Limits
from tui_attn.data.files import os_error_text

_BLOCK = 1 << 16
_SLACK = 1 << 16
"""Bytes that a mirror's recompressed file may be longer than the original."""
_PARTIAL_CONTENT = 206
_RANGE_NOT_SATISFIABLE = 416


class DownloadError(Exception):
    """A download failed for good; the message says why, in a few words that follow the host's name."""


class _UnreachableError(DownloadError):
    """No connection could be made."""


class _BrokenOffError(Exception):
    """The connection broke; the message says how."""


def allowed(url: str) -> bool:
    """Whether anything may be fetched from `url`: over https, or over http from this very machine."""
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and (parts.scheme == "https" or (parts.scheme == "http" and _loopback(url)))
    except ValueError:
        return False


def host_of(url: str) -> str:
    """The host's name in `url`, for messages."""
    return urlsplit(url).hostname or url


def download(
    url: str,
    part: Path,
    size: int,
    limits: Limits,
    tick: Callable[[int], None] = lambda _: None,
) -> None:
    """Bring what `url` holds, about `size` bytes, into the file `part`, going on from what `part` holds already.

    `tick` is called with the bytes that are there so far. What is there stays there when the download fails, so
    that the next call goes on. Whether the content is right is for the caller to verify. Raises `DownloadError`
    (network, server), and `OSError` (disk).
    """
    if not allowed(url):
        raise DownloadError("is not an https address")
    barren, before, start = 0, _length(part), _length(part)
    while True:
        try:
            reason = _attempt(url, part, size + _SLACK, tick, limits)
        except _UnreachableError as error:
            if _length(part) <= start:  # nothing came in this call: there is no use in waiting
                raise
            reason = str(error)
        if reason is None:
            return
        after = _length(part)
        barren = 0 if after > before else barren + 1
        before = after
        if barren > limits.retries:
            raise DownloadError(reason)
        time.sleep(limits.pause * 2**barren)


def _attempt(url: str, part: Path, cap: int, tick: Callable[[int], None], limits: Limits) -> str | None:
    """Fetch what is missing of `part`; None when it is whole, else what broke the connection off.

    Raises `DownloadError` where a further attempt cannot help.
    """
    have = _length(part)
    request = urllib.request.Request(url, headers=_headers(have))  # noqa: S310 - checked by allowed()
    try:
        with _opener(url, limits).open(request) as response, _open_part(part) as out:
            if out.seek(0, os.SEEK_END) != have:
                out.truncate(0)
                return "could not be gone on with"
            if have and not _continues(response, have):
                have = 0
                out.truncate(0)
            return _receive(response, out, have, cap, tick)
    except urllib.error.HTTPError as error:
        return _refused(error, part)
    except urllib.error.URLError as error:
        raise _UnreachableError(_reason(error.reason)) from None
    except _BrokenOffError as error:
        return str(error)
    except http.client.HTTPException as error:  # nonsense instead of a status line
        raise DownloadError(_reason(error)) from None


def _receive(response: Any, out: IO[bytes], have: int, cap: int, tick: Callable[[int], None]) -> str | None:
    expected = response.headers.get("Content-Length")
    end = have + int(expected) if expected and expected.isdigit() else None
    if end is not None and end > cap:
        raise DownloadError(f"offers {end:,} bytes, more than this data set has")
    while block := _read(response):
        have += len(block)
        if have > cap:
            out.truncate(0)
            raise DownloadError("sends more bytes than this data set has")
        out.write(block)
        tick(have)
    out.flush()
    if end is not None and have < end:
        return f"broke off after {have:,} of {end:,} bytes"
    os.fsync(out.fileno())
    return None


def _read(response: Any) -> bytes:
    try:
        block: bytes = response.read(_BLOCK)
    except (http.client.HTTPException, OSError) as error:
        raise _BrokenOffError(_reason(error)) from None
    return block


def _refused(error: urllib.error.HTTPError, part: Path) -> str:
    """What to make of an HTTP error: worth another attempt (the text is returned), or not (raises)."""
    with error:
        if error.code == _RANGE_NOT_SATISFIABLE:  # what is there is as long as the file, or of another one
            part.unlink(missing_ok=True)
            return "has no such part of the file"
        text = f"answers {error.code} {error.reason}".strip()
        if error.code in (408, 429) or error.code >= 500:
            return text
        raise DownloadError(text)


def _headers(have: int) -> dict[str, str]:
    headers = {"User-Agent": "tui-attn", "Accept-Encoding": "identity"}
    return headers | {"Range": f"bytes={have}-"} if have else headers


def _continues(response: Any, have: int) -> bool:
    """Whether the server honoured the range that was asked for."""
    described = response.headers.get("Content-Range", "")
    return bool(response.status == _PARTIAL_CONTENT and described.startswith(f"bytes {have}-"))


def _open_part(part: Path) -> IO[bytes]:
    """Open the partial file for appending: never through a link, never somebody else's."""
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
    try:
        descriptor = os.open(part, flags, 0o600)
    except OSError:
        part.unlink()  # a link, or not ours to write to
        descriptor = os.open(part, flags | os.O_EXCL, 0o600)
    return os.fdopen(descriptor, "ab")


def _length(path: Path) -> int:
    """The length of a regular file; 0 for anything else, links too."""
    try:
        found = path.lstat()
    except OSError:
        return 0
    return found.st_size if stat.S_ISREG(found.st_mode) else 0


def _loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follow redirects to https only; from this machine also to this machine."""

    def redirect_request(
        self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        if not allowed(newurl) or (_loopback(newurl) and not _loopback(req.full_url)):
            raise urllib.error.HTTPError(newurl, code, f"redirects to {host_of(newurl)}", headers, fp)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener(url: str, limits: Limits) -> urllib.request.OpenerDirector:
    def plain(host: str, **_: Any) -> Any:
        return _patient(http.client.HTTPConnection, limits)(host, timeout=limits.connect)

    def secure(host: str, **_: Any) -> Any:
        context = ssl.create_default_context()
        return _patient(http.client.HTTPSConnection, limits)(host, timeout=limits.connect, context=context)

    class Plain(urllib.request.HTTPHandler):
        def http_open(self, req: urllib.request.Request) -> Any:
            return self.do_open(plain, req)

    class Secure(urllib.request.HTTPSHandler):
        def https_open(self, req: urllib.request.Request) -> Any:
            return self.do_open(secure, req)

    proxies = urllib.request.ProxyHandler({} if _loopback(url) else None)
    return urllib.request.build_opener(proxies, Plain, Secure, _Redirects)


def _patient(kind: Any, limits: Limits) -> Any:
    """`kind` of connection, quick to give up on connecting and slower on reading."""

    class Connection(kind):  # type: ignore[misc]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self._create_connection = lambda address, *_: connect(address, limits.connect)

        def connect(self) -> None:
            super().connect()  # resolves, connects and shakes hands within limits.connect each
            self.sock.settimeout(limits.stall)

    return Connection


def connect(address: tuple[str, int], timeout: float) -> socket.socket:
    """A connection to `address` within `timeout` seconds, over all its addresses together. Raises `OSError`."""
    found = _resolve(address, timeout)
    deadline = time.monotonic() + timeout
    failure: OSError = OSError(f"no address for {address[0]}")
    for position, (family, kind, protocol, _, where) in enumerate(found):
        left = deadline - time.monotonic()
        if left <= 0:
            break
        last = position == len(found) - 1
        attempt = socket.socket(family, kind, protocol)
        try:
            attempt.settimeout(left if last else left / 2)  # a dead route must not use up the next one's time
            attempt.connect(where)
            attempt.settimeout(timeout)
            return attempt
        except OSError as error:
            attempt.close()
            failure = error
    raise failure


def _resolve(address: tuple[str, int], timeout: float) -> list[Any]:
    """`socket.getaddrinfo` with a time limit, which the system's own has not."""
    answer: list[Any] = []

    def ask() -> None:
        try:
            answer.append(socket.getaddrinfo(*address, type=socket.SOCK_STREAM))
        except OSError as error:
            answer.append(error)

    asker = threading.Thread(target=ask, daemon=True, name="resolve")
    asker.start()
    asker.join(timeout)
    if not answer:
        raise TimeoutError("name lookup timed out")
    if isinstance(answer[0], OSError):
        raise answer[0]
    found: list[Any] = answer[0]
    return found


def _reason(error: object) -> str:
    if isinstance(error, socket.gaierror):
        return "cannot be found (offline?)"
    if isinstance(error, TimeoutError):
        return "does not answer"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"has a bad certificate ({error.verify_message})"
    if isinstance(error, OSError):
        return os_error_text(error)
    return str(error) or type(error).__name__
