"""Text for messages and terminals: lists cut short, first lines, control codes escaped, widths in columns, bars."""

from __future__ import annotations

import re
import shlex
import unicodedata
from collections.abc import Callable, Sequence
from typing import Any

MAX_NAMES_IN_MESSAGE = 3

BLOCK, ASCII_BLOCK = "█", "#"
ELLIPSIS, ASCII_ELLIPSIS = "…", "..."


def first_few(items: Sequence[Any], most: int = MAX_NAMES_IN_MESSAGE, show: Callable[[Any], str] = repr) -> str:
    """Return the first items of a list for a message.

    >>> first_few(["a", "b", "c", "d"])
    "'a', 'b', 'c', …"
    """
    return ", ".join(map(show, items[:most])) + (", …" if len(items) > most else "")


def counted(count: int, one: str, many: str = "") -> str:
    """Return a number with its noun. many: the plural, where it is not `one` and an s.

    >>> counted(1, "image"), counted(1200, "image"), counted(2, "pair of images", "pairs of images")
    ('1 image', '1,200 images', '2 pairs of images')
    """
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"


def printable(text: str) -> str:
    """Show line breaks, control codes and changes of direction by their escapes, not by what they do to a terminal."""
    return text if text.isprintable() else repr(text)


def shell_line(*words: str) -> str:
    """Join words into one line for a shell, as `shlex.join`; words with line breaks or control codes as $'...'.

    >>> shell_line("run", "my folder", "a\\nb")
    "run 'my folder' $'a\\\\nb'"
    """
    return " ".join(shlex.quote(word) if word.isprintable() else f"$'{_escaped(word)}'" for word in words)


def columns_of(text: str) -> int:
    """Return how many columns a printable text takes: two for a wide letter, none for an accent on another."""
    return sum(map(_columns, text))


def shortened(text: str, columns: int, ellipsis: str = ELLIPSIS) -> str:
    """Cut the middle out of a text that takes more columns: names differ at their ends.

    >>> shortened("0001-landing-site.jpg", 11)
    '0001-…e.jpg'
    """
    if columns_of(text) <= columns:
        return text
    room = max(0, columns - len(ellipsis))
    head = _fitting(text, (room + 1) // 2)
    tail = _fitting(text[::-1], room - columns_of(head))[::-1]
    return f"{head}{ellipsis}{tail}"


def bar(size: int, largest: int, columns: int, block: str = BLOCK) -> str:
    """Return a bar for `size` where that of `largest` fills `columns`; what is not empty shows."""
    length = round(columns * size / max(1, largest))
    return block * (max(1, length) if size else 0)


def can_show(encoding: str | None, text: str) -> bool:
    """Whether a terminal of this encoding has all letters of a text."""
    try:
        text.encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _escaped(word: str) -> str:
    """Escape a word for $'...': what does not print as the bytes of a file name, a line break as \\n."""
    escaped = re.sub(r"([\\'])", r"\\\1", word).replace("\n", r"\n")
    return "".join(each if each.isprintable() else _as_bytes(each) for each in escaped)


def _as_bytes(letter: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in letter.encode(errors="surrogateescape"))


def _columns(letter: str) -> int:
    if unicodedata.combining(letter):
        return 0
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 1


def _fitting(text: str, columns: int) -> str:
    used = 0
    for place, letter in enumerate(text):
        used += _columns(letter)
        if used > columns:
            return text[:place]
    return text
