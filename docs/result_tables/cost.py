"""What networks cost: tables of cost.md."""

from collections.abc import Mapping, Sequence
from typing import Any

from result_tables.markdown import NOT_MEASURED, read, table

NETWORKS = {
    "mobilenet_v2": "DeepLab v3, MobileNetV2",
    "mobilenet_v2_decoder": "DeepLab v3+, MobileNetV2",
    "resnet_50_beta": "DeepLab v3+, ResNet-50-beta",
    "resnet_101_beta": "DeepLab v3+, ResNet-101-beta",
    "xception_65": "DeepLab v3+, Xception-65",
    "pspnet": "PSPNet, ResNet-50",
    "fcn8s": "FCN-8s, VGG-16",
    "deeplab_v2_aspp": "DeepLab v2 ASPP, ResNet-101",
    "unet": "U-Net",
    "segnet": "SegNet, VGG-16",
}


def cost_measured() -> str:
    """Time and memory of prediction and training on two cores."""
    predicted = _by_network("cost/predictions")
    trained = _by_network("cost/training") | _by_network("cost/training_others")
    if not predicted:
        return NOT_MEASURED
    unit = min(row["unit_s"] for row in predicted.values())
    rows = [
        [
            what,
            *_digits_of(predicted.get(name), "wall_s", "cpu_s", "gb"),
            *_digits_of(trained.get(name), "cpu_s", "gb"),
        ]
        for name, what in NETWORKS.items()
    ]
    head = ("", "photograph: s", "CPU s", "GB", "training step: CPU s", "GB")
    return (
        "A product of two 1536x1536 matrices in float32, to compare machines by, takes "
        f"{unit:.3f} CPU s.\n\n{table(head, rows)}"
    )


def _digits_of(row: Mapping[str, Any] | None, *names: str) -> list[str]:
    if row is None:
        return [NOT_MEASURED, *[""] * (len(names) - 1)]
    return [_digits(row[name]) for name in names]


def cost_calculated() -> str:
    """Images a second of training on published GPUs; calculated."""
    calculated, cards = _calculated()
    rows = [
        [
            NETWORKS[name],
            f"{row['parameters'] / 1e6:.1f} M",
            f"{row['multiply_adds'] / 1e9:.1f} G",
            *(_two_digits(row["gpus"][card]["training_images_s"]) for card in cards),
        ]
        for name, row in calculated.items()
    ]
    return _table_if_any(
        ("**calculated**", "parameters", "multiply-adds", *cards), rows
    )


def cost_memory() -> str:
    """What training keeps, and how many images fit; calculated."""
    calculated, cards = _calculated()
    rows = [
        [
            NETWORKS[name],
            _digits(row["state_gb"]),
            *(_digits(row["image_gb"][p]) for p in ("float32", "half")),
            *(str(row["gpus"][card]["most_images"]) for card in cards),
        ]
        for name, row in calculated.items()
    ]
    head = ("**calculated**", "state, GB", "an image, float32", "half", *cards)
    return _table_if_any(head, rows)


# Steps, images a step and side of the crops: recipes of their names.
_RECIPES = {
    "VOC, 30,000 steps of 16 crops of 513": (30_000, 16, 513),
    "Cityscapes, 90,000 steps of 16 crops of 769": (90_000, 16, 769),
}


def cost_hours() -> str:
    """Hours of two published trainings, on one card and on eight; calculated."""
    calculated, cards = _calculated()
    rows = [
        [
            f"{NETWORKS[name]}: {what}",
            *(_hours(calculated[name], card, recipe) for card in cards),
        ]
        for what, recipe in _RECIPES.items()
        for name in ("mobilenet_v2_decoder", "resnet_101_beta", "xception_65")
        if name in calculated
    ]
    return _table_if_any(("**calculated**: hours on one, on eight", *cards), rows)


def _calculated() -> tuple[dict[str, Any], list[str]]:
    """What follows of each network, and the cards that it is calculated for."""
    rows = _by_network("cost/calculated")
    return rows, list(next(iter(rows.values()))["gpus"]) if rows else []


def _table_if_any(head: Sequence[str], rows: list[list[str]]) -> str:
    return table(head, rows) if rows else NOT_MEASURED


def _hours(row: Any, card: str, recipe: tuple[int, int, int]) -> str:
    steps, images, side = recipe
    speed = row["gpus"][card]["training_images_s"] * (row["size"] / side) ** 2
    hours = steps * images / speed / 3600
    return f"{_digits(hours)}, {_digits(hours / row['eight_by_one'])}"


def _by_network(name: str) -> dict[str, Any]:
    return {row["net"]: row for row in read(name) or ()}


def _two_digits(value: float) -> str:
    return f"{float(f'{value:.2g}'):g}"


def _digits(value: float) -> str:
    """Two digits, and no more than two behind the point."""
    places = 0 if value >= 10 else 1 if value >= 1 else 2
    return f"{value:.{places}f}"


TABLES = {
    "cost_measured": cost_measured,
    "cost_calculated": cost_calculated,
    "cost_memory": cost_memory,
    "cost_hours": cost_hours,
}
