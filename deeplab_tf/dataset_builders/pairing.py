"""Which mask belongs to which photograph, where patterns tell."""

import re
from collections.abc import Sequence
from pathlib import Path

from deeplab_tf.dataset_builders.sources import Pair
from deeplab_tf.errors import FlagError, InputError

_WILD = re.compile(r"\*\*/|\*|\?")
_MEANING = {"**/": "((?:.*/)?)", "*": "([^/]*)", "?": "([^/])"}


def pairs_by_glob(
    image_dir: Path, image_glob: str, label_dir: Path, label_glob: str
) -> dict[tuple[str, ...], Pair]:
    """Pairs files of two patterns whose wildcards stand for the same.

    Args:
        image_dir: Folder that the first pattern starts from.
        image_glob: As `leftImg8bit/*/*/*_leftImg8bit.png`; `**/` are folders at will.
        label_dir: Folder that the second one starts from.
        label_glob: As `gtFine/*/*/*_gtFine_labelIds.png`.

    Returns:
        What the wildcards stand for -> pair, sorted. Its name is what the last one
        stands for where that tells all apart, or else all of them.

    Raises:
        FlagError: The patterns have not as many wildcards.
        InputError: Nothing fits, or an image has no mask.
    """
    if image_glob.startswith("/") or label_glob.startswith("/"):
        raise FlagError(
            f"--image_glob={image_glob} --label_glob={label_glob}: below --image_dir "
            "and --label_dir, so without / at the beginning"
        )
    wild = _WILD.findall(image_glob)
    if not wild or len(wild) != len(_WILD.findall(label_glob)):
        raise FlagError(
            f"--image_glob={image_glob} --label_glob={label_glob}: as many * in the "
            "one as in the other are needed, and one at least"
        )
    found = _matches(image_dir, image_glob)
    if not found:
        raise InputError(f"--image_glob={image_glob}: no files in {image_dir}")
    last = {parts[-1] for parts in found}
    pairs, missing = {}, []
    for parts, image in found.items():
        label = label_dir / _filled(label_glob, parts)
        if not label.is_file():
            missing.append((image, label))
        name = parts[-1] if len(last) == len(found) else "_".join(filter(None, parts))
        pairs[parts] = Pair(name=name.strip("/"), image=image, label=label)
    if missing:
        image, label = missing[0]
        raise InputError(
            f"{image}: no mask {label}; so of {len(missing)} of {len(found)} images"
        )
    return pairs


def _matches(folder: Path, pattern: str) -> dict[tuple[str, ...], Path]:
    fixed = [re.escape(part) for part in _WILD.split(pattern)]
    wild = [_MEANING[mark] for mark in _WILD.findall(pattern)]
    shape = re.compile("".join(a + b for a, b in zip(fixed, [*wild, ""], strict=True)))
    found = {}
    for path in sorted(folder.glob(pattern)):
        match = shape.fullmatch(path.relative_to(folder).as_posix())
        if match and path.is_file():
            found[match.groups()] = path
    return found


def _filled(pattern: str, parts: Sequence[str]) -> str:
    left = iter(parts)
    return _WILD.sub(lambda _: next(left), pattern)
