"""Run settings: the flags of a run, as its `config.json` has them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from deeplab_tf.config.fields import text
from deeplab_tf.text_files import read_json

CONFIG = "config.json"
ORDER = "record_order"  # Version of the order of records; see `data.records`.
NO_FLAGS = ("schema", ORDER)
_OF_EACH = ("schema", "train_logdir")  # What says nothing of how a run learns.


def read(folder: Path) -> dict[str, Any]:
    """Settings of a run by the names of their flags.

    Raises:
        InputError: There is no `config.json`, or none that can be read.
    """
    return flatten(read_json(folder / CONFIG, "the settings of a run"))


def flatten(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings by name, of the records within, too."""
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        flat |= flatten(value) if isinstance(value, Mapping) else {name: value}
    return flat


def shown(value: Any) -> str:
    """A setting as its flag is written."""
    if value in (None, []):
        return "not given"
    return text(tuple(value)) if isinstance(value, list) else text(value)


def differences(runs: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Settings in which runs differ: name -> value of each; None where it has none."""
    names = dict.fromkeys(name for settings in runs for name in settings)
    values = {
        name: [settings.get(name) for settings in runs]
        for name in names
        if name not in _OF_EACH
    }
    return {
        name: each
        for name, each in values.items()
        if any(value != each[0] for value in each)
    }
