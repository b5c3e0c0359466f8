"""What a build leaves out: damaged files, named all at once, and parts of images."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

from absl import logging

from deeplab_tf.data.open_image import summarize_damage
from deeplab_tf.dataset_builders.shard import Shard, ShardSummary
from deeplab_tf.errors import InputError
from deeplab_tf.files import write_whole

_FIRST = 10  # Names that a warning has.
Summaries = Mapping[str, Sequence[ShardSummary]]  # Of each split.


def check_damaged(summaries: Summaries, *, skip: bool | None) -> None:
    """Names damaged files; raises an InputError where they may not be left out.

    Args:
        summaries: Of all shards.
        skip: Whether to leave them out; None: that cannot be asked for.
    """
    damaged = [line for one in _flat(summaries) for line in one.damaged]
    if not damaged:
        return
    images = sum(len(one.names) for one in _flat(summaries))
    line = summarize_damage(damaged)
    if not skip:
        them = "it" if len(damaged) == 1 else "them"
        what = f", or leave {them} out by --skip_damaged" if skip is not None else ""
        raise InputError(f"{line}; copy or save {them} again{what}")
    for split, some in summaries.items():
        if not any(one.names for one in some):
            raise InputError(f"split {split}: no image of it can be read; {line}")
    logging.warning("left out of %d images: %s", images + len(damaged), line)


def drop_empty_shards(
    folder: Path, plan: Mapping[str, Sequence[Shard]], summaries: Summaries
) -> tuple[Mapping[str, Sequence[Shard]], Summaries]:
    """Shards that have records, and their summaries; their files are renamed.

    Args:
        folder: Where the shards lie.
        plan: All shards of each split.
        summaries: Theirs.
    """
    every = _flat(summaries)
    if all(one.names for one in every) or not all(one.sha256 for one in every):
        return plan, summaries  # Or masks are wrong, which ends the build.
    shards: dict[str, list[Shard]] = {}
    kept: dict[str, list[ShardSummary]] = {}
    for split, some in summaries.items():
        shards[split], kept[split] = [], [one for one in some if one.names]
        for shard, summary in zip(plan[split], some, strict=True):
            if summary.names:
                index, count = len(shards[split]), len(kept[split])
                renamed = dataclasses.replace(shard, index=index, count=count)
                (folder / shard.name).replace(folder / renamed.name)
                shards[split].append(renamed)
    return shards, kept


def save_lists(folder: Path, summaries: Summaries) -> None:
    """Writes a list of the damaged files of each split beside its records."""
    for split, some in summaries.items():
        # Not `train-*`, as readers find shards.
        path = folder / f"damaged-{split}.txt"
        path.unlink(missing_ok=True)  # That of an earlier build.
        if lines := [line for one in some for line in one.damaged]:
            text = "".join(f"{line}\n" for line in lines)
            write_whole(path, text.encode("utf-8", "surrogateescape"))
            logging.info("%s lists what is left out", path)


def tell_remarks(folder: Path, summaries: Summaries) -> None:
    """Warns of what is not taken of images, and tells how many are shrunk."""
    names: dict[str, list[str]] = {}
    every = _flat(summaries)
    for summary in every:
        for what, some_names in summary.remarks.items():
            names.setdefault(what, []).extend(some_names)
    for what, those in names.items():
        more = f", and {len(those) - _FIRST} more" if len(those) > _FIRST else ""
        logging.warning(
            "%s: %d, %s%s", what, len(those), ", ".join(those[:_FIRST]), more
        )
    if shrunk := sum(one.shrunk for one in every):
        images = sum(len(one.names) for one in every)
        logging.info("%s: %d of %d images are shrunk", folder, shrunk, images)


def _flat(summaries: Summaries) -> list[ShardSummary]:
    return [one for some in summaries.values() for one in some]
