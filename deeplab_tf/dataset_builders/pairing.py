"""Pairs of image and mask: by their names, by lists, or by glob patterns."""

import collections
import random
from collections.abc import Container, Mapping, Sequence
from pathlib import Path

from absl import logging

from deeplab_tf.data import image_folders
from deeplab_tf.data.image_folders import SUFFIXES, match_files
from deeplab_tf.dataset_builders.sources import Pair, read_stems
from deeplab_tf.errors import FlagError, InputError


def pairs_by_stem(image_dir: Path, label_dir: Path) -> list[Pair]:
    """Pairs images and masks below two folders by their paths without suffix.

    Where one folder lies in the other, its files are not taken for those of the other.
    Warns of masks without an image, which may be of a kind that is not read.

    Raises:
        InputError: An image has no mask, no folder is there, or both are one.
    """
    _check_two_folders(image_dir, label_dir)
    by_stem: dict[str, Path] = {}
    for path in image_folders.find_images(label_dir, without=[image_dir]):
        stem = _stem(path, label_dir)
        if stem in by_stem:
            raise InputError(
                f"{by_stem[stem]} and {path}: two masks of one name; remove one, or "
                "tell which by --image_glob and --label_glob (build_folder_data.py)"
            )
        by_stem[stem] = path
    images = [
        (_stem(path, image_dir), path)
        for path in image_folders.find_images(image_dir, without=[label_dir])
    ]
    missing = [path for stem, path in images if stem not in by_stem]
    if missing:
        first, stem = missing[0], _stem(missing[0], image_dir)
        raise InputError(
            f"{first}: no mask {label_dir / stem}.png; so of {len(missing)} of "
            f"{len(images)} images{_suggest_patterns(first, stem, by_stem)}"
        )
    pairs = [Pair(name=stem, image=path, label=by_stem[stem]) for stem, path in images]
    _warn_of_unused_masks(by_stem, {pair.name for pair in pairs}, image_dir)
    return pairs


def _suggest_patterns(image: Path, stem: str, masks: Mapping[str, Path]) -> str:
    """The flags that pair an image with a mask whose name holds its own; "" if none."""
    for other, mask in masks.items():
        if stem in other and "/" not in stem:
            around = other.replace(stem, "*", 1)
            return (
                f"; {mask} is there: give --image_glob='*{image.suffix}' "
                f"--label_glob='{around}{mask.suffix}' (build_folder_data.py)"
            )
    return ""


def pairs_by_list(
    list_file: Path, image_dir: Path, label_dir: Path | None
) -> list[Pair]:
    """Pairs of the stems in a list file, one a line, in its order.

    Raises:
        InputError: No such list, or an image or mask is missing, or there twice.
    """
    if label_dir:
        _check_two_folders(image_dir, label_dir)
    pairs = []
    for stem in read_stems(list_file):
        image = _find_listed(image_dir, stem, list_file)
        label = _find_listed(label_dir, stem, list_file) if label_dir else None
        pairs.append(Pair(name=stem, image=image, label=label))
    return pairs


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
    _check_patterns(image_glob, label_glob)
    images = match_files(image_dir, image_glob)
    if not images:
        raise InputError(f"--image_glob={image_glob}: no files in {image_dir}")
    last = {wild[-1] for wild in images}
    pairs, missing = {}, []
    for wild, image in images.items():
        label = label_dir / image_folders.fill_wildcards(label_glob, wild)
        if not label.is_file():
            missing.append((image, label))
        name = wild[-1] if len(last) == len(images) else "_".join(filter(None, wild))
        pairs[wild] = Pair(name=name.strip("/"), image=image, label=label)
    if missing:
        image, label = missing[0]
        raise InputError(
            f"{image}: no mask {label}; so of {len(missing)} of {len(images)} images"
        )
    masks = match_files(label_dir, label_glob)
    if left := [path for wild, path in masks.items() if wild not in images]:
        _warn_of_unused(len(left), len(masks), left[0])
    return pairs


def random_split(
    pairs: Sequence[Pair], fraction: float, seed: int
) -> dict[str, list[Pair]]:
    """A random split into "train" and a `fraction` for "val", at least one each.

    Of the fraction 0, there is no "val".
    """
    shuffled = sorted(pairs, key=lambda pair: pair.name)
    random.Random(seed).shuffle(shuffled)
    if not fraction:
        return {"train": shuffled}
    held = min(max(1, round(len(shuffled) * fraction)), len(shuffled) - 1)
    if held < 1:
        raise InputError(
            f"{len(shuffled)} images: two are needed, to train and to test"
        )
    return {"train": shuffled[held:], "val": shuffled[:held]}


def _check_patterns(image_glob: str, label_glob: str) -> None:
    """Raises a FlagError where what wildcards stand for cannot be compared."""
    if image_glob.startswith("/") or label_glob.startswith("/"):
        raise FlagError(
            f"--image_glob={image_glob} --label_glob={label_glob}: below --image_dir "
            "and --label_dir, so without / at the beginning"
        )
    count = len(image_folders.wildcards(image_glob))
    if not count or count != len(image_folders.wildcards(label_glob)):
        raise FlagError(
            f"--image_glob={image_glob} --label_glob={label_glob}: as many * in the "
            "one as in the other are needed, and one at least"
        )


def _check_two_folders(image_dir: Path, label_dir: Path) -> None:
    """Raises an InputError where images and masks could not be told apart."""
    if image_dir.is_dir() and image_dir.resolve() == label_dir.resolve():
        raise InputError(
            f"{image_dir}: images and masks in one folder; {_tell_apart(image_dir)} "
            "(build_folder_data.py)"
        )


def _tell_apart(folder: Path) -> str:
    """What would tell masks from photographs, by the endings of their names."""
    files = image_folders.find_images(folder)
    jpegs = {path for path in files if path.suffix.lower() in (".jpg", ".jpeg")}
    # Where two have one stem, the JPEG is the photograph: masks are none.
    by_stem = {
        _stem(path, folder): path for path in sorted(files, key=jpegs.__contains__)
    }
    endings: collections.Counter[tuple[str, str]] = collections.Counter()
    for path in set(files) - jpegs:
        stem = _stem(path, folder)
        for i in range(len(stem), 0, -1):
            photo = by_stem.get(stem[:i])
            if photo and photo.suffix != path.suffix:
                endings[photo.suffix, f"{stem[i:]}{path.suffix}"] += 1
                break
    if not endings:
        return "move the masks into another"
    ((photo_ending, mask_ending), _), *_ = endings.most_common()
    return (
        f"tell them apart, as by --image_glob='**/*{photo_ending}' "
        f"--label_glob='**/*{mask_ending}'"
    )


def _warn_of_unused_masks(
    masks: Mapping[str, Path], used: Container[str], image_dir: Path
) -> None:
    left = [stem for stem in masks if stem not in used]
    if not left:
        return
    others = {
        _stem(path, image_dir): path
        for path in sorted(image_dir.rglob("*.*"))
        if path.is_file()
    }
    first = next((stem for stem in left if stem in others), left[0])
    kinds = ", ".join(SUFFIXES)
    remark = f"; {others[first]} is none of {kinds}" if first in others else ""
    _warn_of_unused(len(left), len(masks), masks[first], remark)


def _warn_of_unused(count: int, masks: int, first: Path, remark: str = "") -> None:
    logging.warning(
        "%d of %d masks have no photograph, first %s%s", count, masks, first, remark
    )


def _stem(path: Path, folder: Path) -> str:
    return path.relative_to(folder).with_suffix("").as_posix()


def _find_listed(folder: Path, stem: str, list_file: Path) -> Path:
    places = [
        folder / name
        for suffix in SUFFIXES
        for name in (stem + suffix, stem + suffix.upper())
        if (folder / name).is_file()
    ]
    if not places:
        if (folder / stem).is_file() and Path(stem).suffix.lower() in SUFFIXES:
            raise InputError(
                f"{list_file}: {stem} has a suffix; a name without is needed, "
                f"{Path(stem).with_suffix('')}"
            )
        raise InputError(f"{folder / stem}.*: no such image; {list_file} lists it")
    if others := [path for path in places if not path.samefile(places[0])]:
        raise InputError(
            f"{places[0]} and {others[0]}: {list_file} lists {stem}, which is both; "
            "rename one"
        )
    return places[0]
