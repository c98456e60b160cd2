"""Finding by a few typed letters: which texts match, and how well. Pure; stdlib only."""

from __future__ import annotations


def match(typed: str, text: str) -> tuple[int, tuple[int, ...]] | None:
    """How well `typed` matches `text`, and the places of the matched characters; None when it doesn't.

    Every word of `typed` must be found, upper and lower case alike: best at the start of a word, then inside one, then
    with its letters in order but apart. A higher figure is a better match; 0 where nothing is typed.
    """
    total, places = 0, set[int]()
    folded = text.lower()
    for word in typed.lower().split():
        found = _word(word, folded)
        if found is None:
            return None
        total += found[0]
        places.update(found[1])
    return total, tuple(sorted(places))


def _word(word: str, text: str) -> tuple[int, tuple[int, ...]] | None:
    starts = [at for at in range(len(text)) if text.startswith(word, at)]
    if starts:
        at = next((at for at in starts if _begins(text, at)), starts[0])
        score = 300 if at == 0 else 200 if _begins(text, at) else 100
        return score + 10 * len(word), tuple(range(at, at + len(word)))
    return _apart(word, text)


def _apart(word: str, text: str) -> tuple[int, tuple[int, ...]] | None:
    """The letters of `word` in order, each taken at the start of a word where that leaves the rest to be found."""
    places: list[int] = []
    at = 0
    for index, letter in enumerate(word):
        first = text.find(letter, at)
        if first < 0:
            return None
        rest = word[index + 1 :]
        later = (here for here in range(first, len(text)) if text[here] == letter and _begins(text, here))
        best = next((here for here in later if _in_order(rest, text, here + 1)), first)
        places.append(best)
        at = best + 1
    spread = places[-1] - places[0] - len(word) + 1
    return max(60 - spread, 1), tuple(places)


def _in_order(word: str, text: str, at: int) -> bool:
    for letter in word:
        at = text.find(letter, at) + 1
        if at == 0:
            return False
    return True


def _begins(text: str, at: int) -> bool:
    """Whether a word begins at place `at`."""
    return at == 0 or (text[at].isalnum() and not text[at - 1].isalnum())
