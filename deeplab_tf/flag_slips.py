"""Slips of whoever types or pastes a command line: each is told what would do."""

import difflib
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from deeplab_tf.errors import FlagError

_DASHES = "\u2010-\u2015\u2212\ufe58\ufe63\uff0d"  # Of text, not of a keyboard.
_QUOTES = "\u2018-\u201f\u00ab\u00bb"


_ON_DISK = ("train_logdir", "eval_logdir", "vis_logdir", "export_path", "output")
_WEIGHTS = ("tf_initial_checkpoint", "checkpoint_dir", "checkpoint_path", "model")
_BATCHES = ("train_batch_size", "eval_batch_size", "batch_size")
_CROPS = ("train_crop_size", "eval_crop_size", "vis_crop_size", "crop_size")
_STEPS = ("training_number_of_steps",)
_RATE = ("base_learning_rate",)
_PHOTOGRAPHS = ("image", "image_dir", "input")
_FEATURES = ("model_variant", "backbone")
# What flags of other programs are called here, by the command that has one of them.
_OTHER_PROGRAMS: Mapping[str, Collection[str]] = {
    **dict.fromkeys(("learning_rate", "lr", "lr0", "base_lr"), _RATE),
    **dict.fromkeys(("epochs", "num_epochs", "max_epochs", "epoch"), _STEPS),
    **dict.fromkeys(("steps", "max_steps", "iterations", "max_iters"), _STEPS),
    **dict.fromkeys(("batch_size", "batch", "bs"), _BATCHES),
    **dict.fromkeys(("crop_size", "image_size", "img_size", "imgsz"), _CROPS),
    **dict.fromkeys(("backbone", "encoder", "encoder_name"), _FEATURES),
    **dict.fromkeys(("arch", "network", "model_name"), ("architecture",)),
    "model": ("checkpoint_dir", "checkpoint_path", "architecture"),
    **dict.fromkeys(("data", "data_dir", "data_root", "records"), ("dataset_dir",)),
    **dict.fromkeys(("output_dir", "out_dir", "work_dir", "logdir"), _ON_DISK),
    **dict.fromkeys(("log_dir", "save_dir", "model_dir"), _ON_DISK),
    **dict.fromkeys(("weights", "checkpoint", "ckpt", "pretrained"), _WEIGHTS),
    **dict.fromkeys(("images", "source", "input_dir", "img_dir"), _PHOTOGRAPHS),
    **dict.fromkeys(("masks", "mask_dir", "ann_dir", "labels"), ("label_dir",)),
    **dict.fromkeys(("classes", "names", "labels_file"), ("class_names",)),
}
# What has no flag here, and why.
_NOT_NEEDED = {
    **dict.fromkeys(("num_classes", "n_classes", "nclass"), "the records tell it"),
    **dict.fromkeys(
        ("gpu", "gpus", "gpu_ids", "device"),
        "all GPUs are used; CUDA_VISIBLE_DEVICES chooses among them",
    ),
    "resume": "the same command goes on with the run in its folder",
}
_STEP_COUNT = "steps, not epochs: images / batch size of them see each image once"


def suggest(given: str, names: Collection[str]) -> tuple[str, str]:
    """What a name that is no flag stands for.

    Args:
        given: The name.
        names: Of the flags that there are.

    Returns:
        The flag that was meant, "" where none is near, and a remark, or "".
    """
    name = given.replace("-", "_").lower()
    if name in _NOT_NEEDED:
        return "", _NOT_NEEDED[name]
    for flag in _OTHER_PROGRAMS.get(name, ()):
        if flag in names:
            return flag, _STEP_COUNT if "epoch" in name else ""
    near = difflib.get_close_matches(name, names, 1)
    return (near[0] if near else ""), ""


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
    leftover: Sequence[str],
    words: Sequence[str],
    names: Collection[str],
    lists: Collection[str] = (),
) -> None:
    """Raises where words belong to no flag.

    Args:
        leftover: Those words.
        words: All of them.
        names: Of the flags.
        lists: Those whose value is a list.
    """
    if not leftover:
        return
    first = leftover[0]
    joined = _join(leftover, words, lists)
    name, equals, _ = first.partition("=")
    before = words[words.index(first) - 1] if words.index(first) else ""
    hint = ""
    if first.startswith("=") or before.endswith("="):
        hint = "; remove the spaces around ="
    elif name in names:
        hint = f"; write --{first}"
    elif joined:
        hint = f"; join the items of a list by commas: {joined}"
    elif equals:
        hint = f"; a flag begins with two dashes, and there is none called {name}"
    raise FlagError(f"arguments that belong to no flag: {' '.join(leftover)}{hint}")


def _join(leftover: Sequence[str], words: Sequence[str], lists: Collection[str]) -> str:
    """A list flag with all items that were written with blanks between; "" if none."""
    start = words.index(leftover[0])
    for begin in (start - 1, start - 2):  # `--name=item`, or `--name item`.
        if begin < 0 or not words[begin].startswith("-"):
            continue
        name, equals, item = words[begin].lstrip("-").partition("=")
        if name not in lists or bool(equals) != (begin == start - 1):
            return ""
        items = [item if equals else words[start - 1]]
        return f"--{name}={','.join([*items, *leftover])}"
    return ""
