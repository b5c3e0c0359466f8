"""The page of a comparison: one file, which needs nothing else."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from absl import logging
from markupsafe import Markup
from PIL import Image

from deeplab_tf.errors import InputError
from deeplab_tf.evaluation.comparing import texts
from deeplab_tf.evaluation.comparing.compare import (
    Comparison,
    ImageChange,
    ScoreChange,
)
from deeplab_tf.files import safe_name
from deeplab_tf.html_pages import page

_BAR = 150  # Width of a bar, in pixels.
_SIDE = 320  # Pixels of a picture, at most.
_SHOWN = 3  # Names that a warning lists.
_FOLDERS = ("", "segmentation_results")  # Of vis.py's pictures, in --vis_logdir.


def render(
    comparisons: Sequence[Comparison], *, pictures: Sequence[str] = (), images: int = 12
) -> str:
    """The page as HTML.

    Args:
        comparisons: Each with the same first evaluation.
        pictures: Folders of `vis.py`, one of each evaluation, the first's first.
        images: How many that got better, and worse, are shown.

    Raises:
        InputError: A folder has none of the pictures.
    """
    evaluations = [comparisons[0].first, *(each.second for each in comparisons)]
    return page.render(
        __package__,
        "compare.html",
        {
            "evaluations": [
                {
                    "letter": texts.letter(i),
                    "name": each.name,
                    "checkpoint": each.stored.checkpoint,
                    "images": len(each.stored.counts),
                }
                for i, each in enumerate(evaluations)
            ],
            "comparisons": [
                _section(each, i, pictures, images)
                for i, each in enumerate(comparisons, start=1)
            ],
            "settings": texts.settings_that_differ(evaluations),
            "unknown": [each.name for each in evaluations if not each.run],
            "note": texts.note(comparisons),
        },
    )


def _section(
    comparison: Comparison, index: int, pictures: Sequence[str], images: int
) -> dict[str, Any]:
    """What the page shows of a comparison."""
    limit = max(
        (abs(end) for each in comparison.classes for end in (*each.interval,)),
        default=0.0,
    )
    changes = [comparison.miou, *comparison.classes]
    rows = [texts.cells(each) | {"bar": _bar(each, limit)} for each in changes]
    kinds = []
    for title, is_better in (("better", True), ("worse", False)):
        changed = comparison.changed(better=is_better)
        shown = [_image(image) for image in changed[:images]]
        kinds.append({"title": title, "count": len(changed), "images": shown})
    if pictures:
        _add_pictures(kinds, pictures[0], pictures[index])
    return {
        "letter": texts.letter(index),
        "name": comparison.second.name,
        "miou": rows[0],
        "rows": rows,
        "count": len(comparison.images),
        "kinds": kinds,
        "warnings": list(texts.warnings(comparison)),
    }


def _image(image: ImageChange) -> dict[str, Any]:
    return {
        "name": image.name,
        "first": texts.percent(image.first),
        "second": texts.percent(image.second),
        "difference": texts.points(image.difference),
        "wrong_first": texts.percent(image.wrong_first),
        "wrong_second": texts.percent(image.wrong_second),
        "pictures": None,
    }


def _bar(change: ScoreChange, limit: float) -> Markup:
    """A difference from the middle, with its interval, for a cell with the numbers.

    Args:
        change: Of a score.
        limit: The greatest end of an interval, at the end of the bar.
    """

    def place(value: float) -> float:
        share = min(1.0, max(-1.0, value / limit)) if limit else 0.0
        return round((_BAR - 4) / 2 * share + _BAR / 2, 1)

    middle = _BAR / 2
    parts = [Markup('<path class="grid" d="M{} 0v14"/>').format(middle)]
    low, high = change.interval
    if low == low:  # It is a number.
        end = place(change.difference)
        parts.append(
            Markup('<rect class="bar" x="{}" width="{}" y="4" height="6"/>').format(
                min(middle, end), round(abs(end - middle), 1)
            )
        )
        left, right = place(low), place(high)
        path = f"M{left} 7H{right}M{left} 3.5v7M{right} 3.5v7"
        parts.append(Markup('<path class="whisker" d="{}"/>').format(path))
    head = '<svg class="interval" viewBox="0 0 {0} 14" width="{0}" height="14" '
    return Markup(head + 'aria-hidden="true">{1}</svg>').format(
        _BAR, Markup("").join(parts)
    )


def _add_pictures(kinds: Sequence[dict[str, Any]], first: str, second: str) -> None:
    """Gives each image its two overlays, as far as both are there."""
    images = [image for kind in kinds for image in kind["images"]]
    missing = []
    for image in images:
        paths = [_find(folder, image["name"]) for folder in (first, second)]
        if None in paths:
            missing.append(image["name"])
        else:
            image["pictures"] = [_thumbnail(path) for path in paths if path]
    if images and len(missing) == len(images):
        raise InputError(
            f"--pictures={first},{second}: in one of them is no overlay of "
            f"{missing[0]}; vis.py --vis_logdir draws them, as "
            f"{_FOLDERS[1]}/{safe_name(missing[0])}_overlay.png"
        )
    if missing:
        logging.warning(
            "Pictures of %d images are not in %s and %s, as of %s",
            len(missing),
            first,
            second,
            ", ".join(missing[:_SHOWN]),
        )


def _find(folder: str, name: str) -> Path | None:
    names = (Path(folder, part, f"{safe_name(name)}_overlay.png") for part in _FOLDERS)
    return next((path for path in names if path.is_file()), None)


def _thumbnail(path: Path) -> str:
    """A small picture as a URL that holds it."""
    from deeplab_tf.visualizing import thumbnails  # OpenCV: other pages need none.

    try:
        with Image.open(path) as picture:
            small = picture.convert("RGB")
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: a damaged picture ({error})") from None
    small.thumbnail((2 * _SIDE, _SIDE))
    return page.data_url(thumbnails.jpeg(small))
