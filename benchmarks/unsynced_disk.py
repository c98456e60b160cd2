"""A model of a disk that forgets what was not synced, for benchmarks/power_loss.py."""

from dataclasses import dataclass, field

Name = tuple[str, ...]
"""The parts of a path."""


@dataclass
class File:
    """A file's content, as written and as of its last sync."""

    content: bytearray = field(default_factory=bytearray)
    synced: bytes = b""


@dataclass
class Folder:
    """A folder's entries, as made and as of its last sync."""

    entries: dict[str, "File | Folder"] = field(default_factory=dict)
    synced: dict[str, "File | Folder"] = field(default_factory=dict)


class Disk:
    """A file system that forgets what was not synced."""

    def __init__(self) -> None:
        self.root = Folder()

    def find(self, name: Name) -> File | Folder | None:
        """What is at `name`."""
        found: File | Folder | None = self.root
        for part in name:
            found = found.entries.get(part) if isinstance(found, Folder) else None
        return found

    def _parent(self, name: Name) -> dict[str, File | Folder]:
        found = self.find(name[:-1])
        assert isinstance(found, Folder), name
        return found.entries

    def make(self, name: Name, *, folder: bool) -> None:
        """An empty file or folder, unless it is there."""
        if name:
            self._parent(name).setdefault(name[-1], Folder() if folder else File())

    def write(self, name: Name, data: bytes, at: int | None) -> None:
        """Write into a file, at its end if `at` is None."""
        file = self.find(name)
        if isinstance(file, File):  # else it was removed
            at = len(file.content) if at is None else at
            file.content[len(file.content) : at] = bytes(max(0, at - len(file.content)))
            file.content[at : at + len(data)] = data

    def resize(self, name: Name, size: int, *, shrink: bool) -> None:
        """Cut or lengthen a file."""
        file = self.find(name)
        if isinstance(file, File):
            if shrink:
                del file.content[size:]
            file.content.extend(bytes(max(0, size - len(file.content))))

    def rename(self, old: Name, new: Name) -> None:
        self._parent(new)[new[-1]] = self._parent(old).pop(old[-1])

    def remove(self, name: Name) -> None:
        self._parent(name).pop(name[-1], None)

    def sync(self, name: Name) -> None:
        """What fsync promises: the file's content, or the folder's entries."""
        found = self.find(name)
        if isinstance(found, File):
            found.synced = bytes(found.content)
        elif found is not None:
            found.synced = dict(found.entries)
