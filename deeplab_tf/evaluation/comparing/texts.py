"""A comparison as lines of 80 columns, as a table for a spreadsheet, and in words."""

import csv
import io
import math
import string
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

from deeplab_tf.checkpoints import run_settings
from deeplab_tf.errors import printable
from deeplab_tf.evaluation.comparing.compare import (
    Comparison,
    ImageChange,
    ScoreChange,
)
from deeplab_tf.evaluation.comparing.stored import StoredEvaluation

_WIDTH = 80
_NAME = 21  # Columns of a class's name.
_IMAGES = 5  # That the terminal shows, of each kind.


def note(comparisons: Sequence[Comparison]) -> str:
    """What intervals and p say, and what they do not."""
    return (
        "Intervals and p are by bootstrap over images: what other images of the kind "
        "would show. Another training with the same settings may differ by more. Where "
        f"nothing differs, 1 in 20 of the {len(comparisons[0].classes)} classes is "
        "marked all the same."
    )


def letter(index: int) -> str:
    """What a table calls an evaluation: A for the first."""
    letters = string.ascii_uppercase
    return letters[index] if index < len(letters) else f"#{index + 1}"


def lines(comparisons: Sequence[Comparison]) -> Iterator[str]:
    """Which evaluations they are, and a table of each comparison with the first."""
    evaluations = [comparisons[0].first, *(each.second for each in comparisons)]
    for i, each in enumerate(evaluations):
        text = f"{letter(i)}  {each.name}  ({each.stored.checkpoint})"
        yield from _wrap(printable(text), "   ")
    for i, comparison in enumerate(comparisons, start=1):
        yield ""
        yield from _table(comparison, letter(i))
        yield ""
        yield from _images(comparison, letter(i))
    yield from _settings(evaluations)
    yield ""
    yield from _wrap(note(comparisons), "")


def to_csv(comparisons: Sequence[Comparison]) -> str:
    """A line a mean, a class and an image of each comparison; scores are 0...1.

    The score of an image is its own mIoU, as in `per_image.csv`, without an interval.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    header = (
        "first second kind name score_first score_second difference low high p images"
    )
    writer.writerow(header.split())
    for each in comparisons:
        names = each.first.name, each.second.name
        for change in (each.miou, *each.classes):
            kind = "mean" if change is each.miou else "class"
            numbers = change.first, change.second, change.difference
            cells = map(_cell, (*numbers, *change.interval, change.p))
            writer.writerow((*names, kind, change.name, *cells, change.images))
        for image in each.images:
            cells = map(_cell, (image.first, image.second, image.difference))
            writer.writerow((*names, "image", image.name, *cells, "", "", "", 1))
    return text.getvalue()


def warnings(comparison: Comparison) -> Iterator[str]:
    """What makes two evaluations less comparable, a line each."""
    first, second = comparison.first, comparison.second
    for one, other, names in (
        (first, second, comparison.only_first),
        (second, first, comparison.only_second),
    ):
        if names:
            yield (
                f"{one.name} has {_count(len(names))} that {other.name} lacks, first "
                f"{names[0]}; left out: scores are of the {len(comparison.images)} "
                "that both have"
            )
    if comparison.relabeled:
        yield (
            f"{_count(len(comparison.relabeled))} with other true pixels in "
            f"{first.name} than in {second.name}, first {comparison.relabeled[0]}: "
            "other masks, or another size; these scores are not of one truth"
        )
    for name, values in (
        (
            "eval_split",
            [each.stored.settings.get("eval_split") for each in (first, second)],
        ),
        ("ignore_label", [each.stored.ignore_label for each in (first, second)]),
    ):
        if values[0] != values[1]:
            shown = " and ".join("val" if v is None else str(v) for v in values)
            yield f"{first.name} and {second.name} are of another {name}: {shown}"


def settings_that_differ(
    evaluations: Sequence[StoredEvaluation],
) -> dict[str, dict[str, list[str]]]:
    """Settings that differ: "training" or "evaluation" -> name -> as flags say it.

    Of trainings, none where those of one are not known.
    """
    known = {
        "training": [each.run for each in evaluations],
        "evaluation": [each.stored.settings for each in evaluations],
    }
    if not all(known["training"]):
        known["training"] = []
    return {
        what: {
            name: [run_settings.shown(value) for value in values]
            for name, values in run_settings.differences(settings).items()
        }
        for what, settings in known.items()
    }


def percent(score: float) -> str:
    """A score, 0...1, in percent; "-" where it is not defined."""
    return "-" if math.isnan(score) else f"{100 * score:.2f}"


def points(difference: float) -> str:
    """A difference of scores in percent points, with its sign."""
    return "-" if math.isnan(difference) else f"{100 * difference:+.2f}"


def interval(change: ScoreChange) -> str:
    """The interval of a difference, in percent points."""
    low, high = change.interval
    return "-" if math.isnan(low) else f"{points(low)} to {points(high)}"


def probability(p: float) -> str:
    """The p of a difference, with three digits."""
    return "-" if math.isnan(p) else f"{p:.3f}"


def _table(comparison: Comparison, second: str) -> Iterator[str]:
    row = f"{{:{_NAME}}}{{:>8}}{{:>8}}{{:>9}}{{:>19}}{{:>8}}{{:>7}}"
    head = ("in percent", "A", second, f"{second} - A", "95 % interval", "p", "")
    yield row.format(*head).rstrip()
    for change in (comparison.miou, *comparison.classes):
        yield row.format(
            _short(change.name),
            percent(change.first),
            percent(change.second),
            points(change.difference),
            interval(change),
            probability(change.p),
            change.verdict,
        ).rstrip()


def _images(comparison: Comparison, second: str) -> Iterator[str]:
    better = comparison.changed(better=True)
    worse = comparison.changed(better=False)
    same = len(comparison.images) - len(better) - len(worse)
    yield (
        f"Of {_count(len(comparison.images))}, by their own mIoU: {len(better)} better "
        f"in {second}, {len(worse)} worse, {same} the same"
    )
    for title, images in (("better", better), ("worse", worse)):
        for image in images[:_IMAGES]:
            yield f"  {title:6} {_image(image)}"
        if len(images) > _IMAGES:
            yield f"  {title:6} ... {len(images) - _IMAGES} more in compare.csv"


def _image(image: ImageChange) -> str:
    numbers = f"{percent(image.first):>6} -> {percent(image.second):>6}"
    return f"{points(image.difference):>7}  {numbers}  {printable(image.name)}"


def _settings(evaluations: Sequence[StoredEvaluation]) -> Iterator[str]:
    yield ""
    unknown = [each.name for each in evaluations if not each.run]
    if unknown:
        yield from _wrap(
            f"Settings of the training are not known of {', '.join(unknown)}: there is "
            "no config.json beside the checkpoint",
            "",
        )
    differing = settings_that_differ(evaluations)
    if not any(differing.values()):
        yield "No known setting differs."
    for what, settings in differing.items():
        if settings:
            yield f"Settings of the {what} that differ, in the order of the above:"
        for name, values in settings.items():
            yield from _wrap(printable(f"  --{name}: {' | '.join(values)}"), "    ")


def _wrap(text: str, indent: str) -> list[str]:
    return textwrap.wrap(
        text,
        _WIDTH,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _short(name: str) -> str:
    shown = printable(name)
    return shown if len(shown) < _NAME else f"{shown[: _NAME - 2]}…"


def _cell(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.6f}"


def _count(number: int) -> str:
    return f"{number:,} image{'' if number == 1 else 's'}"


def cells(change: ScoreChange) -> dict[str, Any]:
    """A row of the page's table."""
    return {
        "name": change.name,
        "first": percent(change.first),
        "second": percent(change.second),
        "difference": points(change.difference),
        "interval": interval(change),
        "p": probability(change.p),
        "verdict": change.verdict,
        "images": change.images,
    }
