"""Slips of whoever types or pastes a command line: each is told what would do."""

import re
from collections.abc import Collection, Sequence
from pathlib import Path

from deeplab_tf.errors import FlagError

_DASHES = "\u2010-\u2015\u2212\ufe58\ufe63\uff0d"  # Of text, not of a keyboard.
_QUOTES = "\u2018-\u201f\u00ab\u00bb"


def check_words(words: Sequence[str]) -> None:
    """Raises where a word has dashes or quotes that text programs put there."""
    for word in words:
        if match := re.match(f"-?[{_DASHES}][-{_DASHES}]*", word):
            raise FlagError(
                f"{word}: this dash is one of a web page or a text program; write "
                f"--{word[match.end() :]}"
            )
        if match := re.match(f"(--?\\w+=)?(?=[{_QUOTES}])", word):
            if Path(word[match.end() :]).exists():
                continue
            plain = re.sub(f"[{_QUOTES}]", '"', word)
            raise FlagError(
                f"{word}: these quotes are of a web page or a text program; write "
                f"{plain}"
            )


def check_leftover(
    leftover: Sequence[str], words: Sequence[str], names: Collection[str]
) -> None:
    """Raises where words belong to no flag.

    Args:
        leftover: Those words.
        words: All of them.
        names: Of the flags.
    """
    if not leftover:
        return
    first = leftover[0]
    name, equals, _ = first.partition("=")
    before = words[words.index(first) - 1] if words.index(first) else ""
    hint = ""
    if first.startswith("=") or before.endswith("="):
        hint = "; remove the spaces around ="
    elif name in names:
        hint = f"; write --{first}"
    elif equals:
        hint = f"; a flag begins with two dashes, and there is none called {name}"
    raise FlagError(f"arguments that belong to no flag: {' '.join(leftover)}{hint}")
