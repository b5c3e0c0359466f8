"""CamVid in hours of two cores: tables and the chart of results.md."""

from deeplab_tf.html_pages import charts
from deeplab_tf.html_pages.charts import Axis, Series
from result_tables.markdown import (
    NOT_MEASURED,
    percent,
    read,
    table,
    with_interval,
)
from result_tables.settings import by_class, by_setting

_SETTINGS = {
    "scale1": "the photograph as it is",
    "scale15": "enlarged by 1.5",
    "scale2": "enlarged by 2",
    "scales_flips": "scales 1, 1.5 and 2, and flips",
}
# Of which both trainings were evaluated, or the second alone.
_AGAIN = {
    "scale1": _SETTINGS["scale1"],
    "scales_flips": _SETTINGS["scales_flips"],
    "crf": "with a CRF, searched on `train`",
    "train": "`train` itself",
}
_EVALUATIONS = {
    "IoU, as it is": "camvid/recipe_scale1",
    "IoU, scales and flips": "camvid/recipe_scales_flips",
}
_THIN = ("Pole", "Sign", "Pedestrian")
_SIZE = 460, 260


def search() -> str:
    """What was tried, in which order, and what each reached."""
    rows = [
        [
            row["what"],
            str(row["steps"]),
            f"{row['minutes']:g}",
            percent(row["miou"]),
            *(percent(row["iou"][name], 1) for name in _THIN),
        ]
        for row in read("camvid/search") or ()
    ]
    head = ("", "steps", "minutes", "mIoU", *_THIN)
    return table(head, rows) if rows else NOT_MEASURED


def again() -> str:
    """What another training by the same command reaches."""
    rows = [
        [
            f"{name}{what}",
            with_interval(scores["miou"], scores["miou_interval"]),
            *(percent(scores["iou"][thin], 1) for thin in _THIN),
        ]
        for setting, name in _AGAIN.items()
        for run, what in (("recipe", ""), ("again", "; trained again"))
        if (scores := read(f"camvid/{run}_{setting}"))
    ]
    head = ("", "mIoU (95 % interval)", *_THIN)
    return table(head, rows) if rows else NOT_MEASURED


def draw() -> str:
    """The loss of the steps, each point the mean of those since the last."""
    lines = [line for line in read("camvid/metrics") or () if "loss" in line]
    if not lines:
        return ""
    loss = Series(name="loss", points=[(line["step"], line["loss"]) for line in lines])
    x = Axis(title="step", high=lines[-1]["step"], show="{:.0f}".format)
    highest = max(line["loss"] for line in lines)
    y = Axis(title="loss", high=highest, show="{:.1f}".format)
    chart = charts.line_chart([loss], x, y, label="Loss by step", size=_SIZE)
    return charts.to_file([("", chart)], _SIZE, columns=1)


TABLES = {
    "camvid_settings": lambda: by_setting("camvid/recipe", _SETTINGS),
    "camvid_classes": lambda: by_class(_EVALUATIONS),
    "camvid_search": search,
    "camvid_again": again,
}
CHARTS = {"camvid_loss.svg": draw}
