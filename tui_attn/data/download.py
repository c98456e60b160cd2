"""Downloads over https, with a size limit, time limits, and resumption by Range."""

from __future__ import annotations

import ipaddress
import os
import socket
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, TypeVar
from urllib.parse import urljoin, urlsplit

from tui_attn.data.base import Limits
from tui_attn.data.files import os_error_text

if TYPE_CHECKING:
    import httpx

_BLOCK = 1 << 16
"""Bytes read at a time. An attempt that brings less doesn't count as progress."""
_SLACK = 1 << 16
"""Bytes that a mirror's recompressed file may be longer than the original."""
_REDIRECTS = 5

Result = TypeVar("Result")


class DownloadError(Exception):
    """A download failed permanently; the message follows the host's name."""


class _UnreachableError(DownloadError):
    """No connection could be made."""


class _BrokenOffError(Exception):
    """A download failed, but another attempt may succeed; the message says what happened."""


def allowed(url: str) -> bool:
    """Whether fetching from `url` is allowed: over https, or over http from this machine."""
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
    """Download `url`, about `size` bytes, into the file `part`, continuing after its present content.

    `tick` is called with the number of bytes so far. They are kept when the download fails, so that the next call
    continues. The caller must verify the content. Raises `DownloadError` (network, server), and `OSError` (disk).
    """
    if not allowed(url):
        raise DownloadError("is not an https address")
    barren, before, start = 0, _length(part), _length(part)
    while True:
        try:
            _attempt(url, part, size + _SLACK, tick, limits)
        except _UnreachableError as error:
            if _length(part) <= start:  # nothing came in this call: don't wait
                raise
            reason = str(error)
        except _BrokenOffError as error:
            reason = str(error)
        else:
            return
        after = _length(part)
        barren = 0 if after - before >= _BLOCK else barren + 1
        before = after
        if barren > limits.retries:
            raise DownloadError(reason)
        time.sleep(limits.pause * 2**barren)


def _attempt(url: str, part: Path, cap: int, tick: Callable[[int], None], limits: Limits) -> None:
    """Fetch the rest of `part`. Raises `_BrokenOffError`, and `DownloadError` where another attempt can't help."""
    have = _length(part)
    headers = {"User-Agent": "tui-attn", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    with _response(url, headers, limits) as response:
        _check_status(response, part)
        with _open_part(part) as out:
            if out.seek(0, os.SEEK_END) != have:
                out.truncate(0)
                raise _BrokenOffError("could not be continued")
            described = response.headers.get("Content-Range", "")
            if have and not (response.status_code == 206 and described.startswith(f"bytes {have}-")):
                have = 0
                out.truncate(0)
            _receive(response, out, have, cap, tick, limits)


def _receive(
    response: httpx.Response, out: IO[bytes], have: int, cap: int, tick: Callable[[int], None], limits: Limits
) -> None:
    import httpx

    expected = response.headers.get("Content-Length", "")
    end = have + int(expected) if expected.isascii() and expected.isdigit() else None
    if end is not None and end > cap:
        raise DownloadError(f"offers {end:,} bytes, more than this data set has")
    floor = _Floor(limits)
    with _network_errors():
        try:
            for block in response.iter_raw():
                have += len(block)
                if have > cap:
                    out.truncate(0)
                    raise DownloadError("sends more bytes than this data set has")
                out.write(block)
                out.flush()
                tick(have)
                floor.check(len(block))
        except httpx.RemoteProtocolError:
            raise _BrokenOffError(f"broke off after {have:,} of {cap if end is None else end:,} bytes") from None
    os.fsync(out.fileno())


class _Floor:
    """Checks that a server sends at least `Limits.least` bytes per second over `Limits.stall` seconds."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._begun, self._bytes = time.monotonic(), 0

    def check(self, received: int) -> None:
        """Count bytes that arrived. Raises `DownloadError`."""
        self._bytes += received
        seconds = time.monotonic() - self._begun
        if seconds >= self._limits.stall:
            if self._bytes < self._limits.least * seconds:
                raise DownloadError(f"is too slow: {self._bytes / seconds:,.0f} bytes a second")
            self._begun, self._bytes = time.monotonic(), 0


@contextmanager
def _response(url: str, headers: dict[str, str], limits: Limits) -> Iterator[httpx.Response]:
    """The response to a request for `url`, its body unread. Redirects must lead to https, or stay on this machine."""

    for _ in range(_REDIRECTS + 1):
        with _client(url, limits) as client, _network_errors():
            request = client.build_request("GET", url, headers=headers)
            response = _within(limits.connect + limits.stall, lambda: client.send(request, stream=True))  # noqa: B023
            with closing(response):
                if not response.has_redirect_location:
                    yield response
                    return
                target = urljoin(url, response.headers["Location"])
        if not allowed(target) or (_loopback(target) and not _loopback(url)):
            raise DownloadError(f"answers {response.status_code}: redirects to {host_of(target)}")
        url = target
    raise DownloadError("redirects in a circle")


def _client(url: str, limits: Limits) -> httpx.Client:
    """A client for `url`, once its host or that of the proxy is resolved. Raises `_UnreachableError`."""
    import ssl
    from urllib.request import getproxies, proxy_bypass

    import httpx

    parts = urlsplit(url)
    host = parts.hostname or ""
    proxy = None if _loopback(url) or proxy_bypass(host) else getproxies().get(parts.scheme)
    server = urlsplit(proxy if proxy is None or "//" in proxy else f"http://{proxy}") if proxy else parts
    with _network_errors():
        try:
            port = server.port or 443
        except ValueError:
            raise _bad_proxy(parts.scheme) from None
        found = _within(limits.connect, lambda: socket.getaddrinfo(server.hostname, port, type=socket.SOCK_STREAM))
    each = max(limits.connect / max(len(found), 1), 1.0)  # an unreachable address must leave time for the next one
    try:
        return httpx.Client(
            verify=ssl.create_default_context() if parts.scheme == "https" else False,  # the system's certificates
            proxy=None if proxy is None else server.geturl(),
            trust_env=False,
            timeout=httpx.Timeout(limits.stall, connect=each),
        )
    except (ValueError, ImportError, httpx.InvalidURL):  # an unknown kind of proxy, SOCKS without its package
        raise _bad_proxy(parts.scheme) from None


def _bad_proxy(scheme: str) -> DownloadError:
    return DownloadError(f"can't be reached: the proxy in {scheme}_proxy can't be used, correct or unset it")


def _within(seconds: float, work: Callable[[], Result]) -> Result:
    """Call `work` with a time limit. Raises `TimeoutError` and what it raises."""
    results: list[Result] = []
    errors: list[Exception] = []

    def do() -> None:
        try:
            results.append(work())
        except Exception as error:  # to be raised again in the calling thread
            errors.append(error)

    thread = threading.Thread(target=do, daemon=True, name="network")
    thread.start()
    thread.join(seconds)
    if errors:
        raise errors[0]
    if not results:
        raise TimeoutError
    return results[0]


@contextmanager
def _network_errors() -> Iterator[None]:
    """Turn network errors into `_UnreachableError`, `_BrokenOffError` or `DownloadError`."""
    import httpx

    try:
        yield
    except (TimeoutError, httpx.ConnectTimeout):
        raise _UnreachableError("does not answer") from None
    except socket.gaierror:
        raise _UnreachableError("cannot be found (offline?)") from None
    except (httpx.ConnectError, httpx.ProxyError) as error:
        raise _UnreachableError(_reason(error)) from None
    except httpx.ReadTimeout:
        raise _BrokenOffError("does not answer") from None
    except httpx.RemoteProtocolError as error:
        raise _BrokenOffError(str(error) or "broke off") from None
    except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
        raise _BrokenOffError(str(error) or type(error).__name__) from None


def _reason(error: BaseException) -> str:
    """Why the connection failed, in a few words."""
    import ssl

    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"has a bad certificate ({cause.verify_message})"
        if isinstance(cause, OSError):
            return os_error_text(cause)
        cause = cause.__cause__ or cause.__context__
    return str(error) or type(error).__name__


def _check_status(response: httpx.Response, part: Path) -> None:
    """Refuse an HTTP error. Raises `_BrokenOffError` where another attempt may help, else `DownloadError`."""
    status = response.status_code
    if status == 416:  # `part` is complete, or of another file
        part.unlink(missing_ok=True)
        raise _BrokenOffError("has no such part of the file")
    if status not in (200, 206):
        text = f"answers {status} {response.reason_phrase}".strip()
        if status in (408, 429) or status >= 500:
            raise _BrokenOffError(text)
        raise DownloadError(text)


def _open_part(part: Path) -> IO[bytes]:
    """Open the partial file for appending; links and files of other users are replaced."""
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
