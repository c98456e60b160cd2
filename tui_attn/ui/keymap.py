"""The check of the keys that a user gave to bindings. Stdlib only."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping

from tui_attn.experiment.options import ConfigError, shown, suggest
from tui_attn.system.text import safe_text
from tui_attn.ui.keys import ALL_KEYS, TABLES, Key

_EVERYWHERE = "everywhere"
_ALONE = frozenset({_EVERYWHERE, "questions", "choices", "palette"})
"""Where no other table's keys work."""
_WITH = {
    "dashboard": ("what scrolls", "charts"),
    "other screens": ("what scrolls",),
    "comparison": ("other screens", "what scrolls"),
    "heatmaps": ("other screens",),
}
"""Whose keys work on the same screen, besides those that work everywhere."""
_NAMES = {
    "solidus": "slash",
    "reverse_solidus": "backslash",
    "commercial_at": "at",
    "hyphen_minus": "minus",
    "plus_sign": "plus",
    "low_line": "underscore",
}
"""Characters that Textual names otherwise than Unicode."""


def _unicode_name(character: str) -> str:
    name = unicodedata.name(character, "").lower().replace("-", "_").replace(" ", "_")
    return _NAMES.get(name, name)


_NAMED = "enter escape tab space backspace delete insert home end pageup pagedown up down left right"
_KEYS = {name: name for name in (*_NAMED.split(), *(f"f{number}" for number in range(1, 25)))}
_KEYS |= {name: name for name in map(_unicode_name, map(chr, range(0x21, 0x7F)))}
_KEYS |= {"esc": "escape", "return": "enter", "del": "delete", "ins": "insert", "pgup": "pageup", "pgdn": "pagedown"}
"""Words for keys in small letters, with Textual's names of them."""
_MODIFIED = re.compile(r"((?:(?:ctrl|shift|alt|super|hyper|meta)[+-])*)(.+)", re.IGNORECASE)


def binding_ids() -> frozenset[str]:
    """The id of every binding there is, the charts' included."""
    return frozenset(key.id for key in ALL_KEYS)


def check_key(id_: str, keys: object) -> str:
    """`keys` of the binding `id_` by Textual's names. Raises `ConfigError` when there is no such binding or key."""
    known = binding_ids()
    if id_ not in known:
        hint = suggest(shown(id_), sorted(known), lister="tui-attn config --keys")
        raise ConfigError(f"[keys] names no binding '{shown(id_)}': {hint}")
    if not isinstance(keys, str) or not keys.strip(", ") or "\n" in keys or safe_text(keys) != keys:
        raise ConfigError(f'[keys] {id_} needs a key, such as {id_} = "f5"')
    try:
        return ",".join(key_name(name) for name in keys.split(",") if name.strip())
    except ConfigError as error:
        raise ConfigError(f"[keys] {id_}: {error.reason}") from None


def check_keymap(keymap: Mapping[str, str]) -> None:
    """Raise `ConfigError` when `keymap` names a binding that doesn't exist, gives it no key, or one that is taken."""
    for id_, keys in keymap.items():
        check_key(id_, keys)
    for where, table in TABLES.items():
        others = () if where in _ALONE else (_EVERYWHERE, *_WITH.get(where, ()))
        together = (*(key for name in others for key in TABLES[name]), *table)
        before, after = _shared(together, {}), _shared(together, keymap)
        for key, ids in after.items():
            if not ids <= before.get(key, set()) and not ids.isdisjoint(keymap):
                first, second = sorted(ids, key=lambda id_: (id_ not in keymap, id_))[:2]
                both = f"'{first}' and '{second}' on {key!r} ({where})"
                raise ConfigError(f"[keys] puts {both}: give one of them another key")


def key_name(key: str) -> str:
    """Textual's name of a key: `question_mark` of `?`, `ctrl+h` of `Ctrl-H`, `A` of `shift+a`. Raises `ConfigError`."""
    match = _MODIFIED.fullmatch(key.strip())
    modifiers, last = (match[1].casefold().replace("-", "+"), match[2]) if match else ("", key.strip())
    if len(last) == 1 and last.isalnum():
        if modifiers == "shift+" and last.isalpha():
            return last.upper()
        return modifiers + (last.lower() if modifiers else last)
    name = (_unicode_name(last) or last) if len(last) == 1 else _KEYS.get(last.casefold())
    if name is None:
        raise ConfigError(f"unknown key '{shown(key)}': {suggest(shown(last), _KEYS, lister='tui-attn config --keys')}")
    return modifiers + name


def _shared(table: Iterable[Key], keymap: Mapping[str, str]) -> dict[str, set[str]]:
    """The keys that more than one binding of `table` has, with these bindings' ids."""
    by_key: dict[str, set[str]] = {}
    for key in table:
        for name in filter(str.strip, keymap.get(key.id, key.keys).split(",")):
            by_key.setdefault(key_name(name), set()).add(key.id)
    return {name: ids for name, ids in by_key.items() if len(ids) > 1}
