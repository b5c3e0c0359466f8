"""Checkpoints as files: where they are, and the weights in them by official name."""

import dataclasses
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from absl import logging

from deeplab_tf.errors import InputError

# What TensorFlow raises on a damaged checkpoint; IndexError where a file is short.
DAMAGE = (tf.errors.OpError, IndexError, RuntimeError, OSError)
_PREFIX, _SUFFIX = "weights/", "/.ATTRIBUTES/VARIABLE_VALUE"
_AVERAGES = "averages/"
_OTHERS = ("slots/", "counters/")  # What else of a native one TensorFlow 1 has, too.
# What an optimizer or a TF1 trainer keeps beside the weights.
_AVERAGE = "ExponentialMovingAverage"
_EXTRAS = ("Momentum", "Velocity", "Adam", "Adam_1", _AVERAGE)
_COUNTERS = ("global_step", "beta1_power", "beta2_power")


@dataclasses.dataclass(frozen=True)
class CheckpointReader:
    """An open checkpoint, official or native.

    Attributes:
        prefix: Path without ".index".
        keys: Official name -> key in the file, of every weight.
        shapes: Official name -> shape.
    """

    prefix: str
    keys: Mapping[str, str]
    shapes: Mapping[str, tuple[int, ...]]

    @property
    def averaged(self) -> int:
        """Of how many weights `keys` means the moving average."""
        return sum(key.startswith(_AVERAGES) for key in self.keys.values())

    def values(self, names: Collection[str]) -> dict[str, np.ndarray]:
        """Values of these weights.

        Raises:
            InputError: The file is damaged.
        """
        return self._read({name: self.keys[name] for name in names})

    @property
    def all_keys(self) -> dict[str, str]:
        """TF1 name -> key in the file, of weights, averages, slots and counters."""
        keys = _reader(self.prefix).get_variable_to_shape_map()
        if any(key.startswith(_PREFIX) for key in keys):
            kinds = (_PREFIX, _AVERAGES, *_OTHERS)
            keys = [key for key in keys if key.startswith(kinds)]
        return {_official(key): key for key in keys}

    def all_values(self) -> dict[str, np.ndarray]:
        """Values of `all_keys`.

        Raises:
            InputError: The file is damaged.
        """
        return self._read(self.all_keys)

    @property
    def step(self) -> int:
        """The training step: the counter's or, without one, that of the name."""
        if key := self.all_keys.get("global_step"):
            return int(self._read({"step": key})["step"])
        return step_of(self.prefix)

    def _read(self, keys: Mapping[str, str]) -> dict[str, np.ndarray]:
        reader = _reader(self.prefix)
        try:
            return {name: reader.get_tensor(key) for name, key in keys.items()}
        except DAMAGE as error:
            raise InputError(f"{self.prefix}: a damaged checkpoint ({error})") from None


def find_checkpoint(path: str) -> str:
    """The prefix of a checkpoint given as folder, prefix, `.index` or data file.

    Raises:
        InputError: There is none; says what is there instead.
    """
    is_found = newest(path) if Path(path).is_dir() else is_checkpoint(path)
    if not is_found and _is_export(Path(path)):
        raise InputError(
            f"{path}: an export, not a checkpoint; deeplab_tf.runtime.Segmenter, "
            "deeplab-predict and deeplab-web open it"
        )
    if Path(path).is_dir():
        latest = newest(path)
        if latest is None:
            names = sorted(item.name for item in Path(path).iterdir())
            holds = ", ".join(names[:8]) or "nothing"
            raise InputError(f"{path}: no checkpoint in this folder; it holds {holds}")
        return latest
    prefix = _prefix(path)
    if not is_checkpoint(path):
        raise InputError(
            f"{path}: no such checkpoint; a folder, or model.ckpt-1000 without suffix, "
            "is needed"
        )
    return prefix


def _is_export(path: Path) -> bool:
    """Whether `export.py` wrote this, for a runtime: a SavedModel, or a file."""
    is_file = path.suffix in (".pb", ".tflite", ".onnx", ".xml") and path.is_file()
    return is_file or (path / "saved_model.pb").is_file()


def is_checkpoint(path: str) -> bool:
    """Whether this is one checkpoint, not a folder of them."""
    return Path(f"{_prefix(path)}.index").exists()


def _prefix(path: str) -> str:
    return path.removesuffix(".index").removesuffix(".data-00000-of-00001")


def newest(folder: str) -> str | None:
    """The prefix of a folder's newest checkpoint, if it has one."""
    return next(reversed(prefixes(folder)), None)


def prefixes(folder: str) -> list[str]:
    """A folder's checkpoints, the newest last: as its file `checkpoint` lists them.

    Before them come those that it does not list, by their steps: all of them, where
    that file is missing or damaged, or lists what lay elsewhere.
    """
    listed = [prefix for prefix in listed_prefixes(folder) if is_checkpoint(prefix)]
    names = {Path(prefix).name for prefix in listed}
    there = [str(path.with_suffix("")) for path in Path(folder).glob("*.index")]
    there.sort(key=lambda prefix: (step_of(prefix), prefix))
    return [prefix for prefix in there if Path(prefix).name not in names] + listed


def listed_prefixes(folder: str) -> list[str]:
    """What a folder's file `checkpoint` lists, there or not, the newest last."""
    try:
        state = tf.train.get_checkpoint_state(folder)
    except ValueError:  # Cut short.
        state = None
    if state is None:
        return []
    newest = state.model_checkpoint_path
    every = state.all_model_checkpoint_paths
    return [prefix for prefix in every if prefix != newest] + [newest]


def step_of(prefix: str) -> int:
    """The training step, as far as a checkpoint's name tells; else 0."""
    tail = prefix.rsplit("-", 1)[-1]
    return int(tail) if tail.isdigit() else 0


def open_checkpoint(path: str) -> CheckpointReader:
    """Opens a checkpoint given as `find_checkpoint` takes it.

    Where a run kept moving averages of its weights, those are the weights.

    Raises:
        InputError: There is none, or it is damaged.
    """
    prefix = find_checkpoint(path)
    shapes = _reader(prefix).get_variable_to_shape_map()
    is_native = any(key.startswith(_PREFIX) for key in shapes)
    keys = {_official(key): key for key in shapes if _is_weight(key, is_native)}
    averages = _averages(shapes) if is_native else {}
    if averages:
        logging.info(
            "%s: %d weights are moving averages (--ema_decay)", prefix, len(averages)
        )
    keys |= averages
    return CheckpointReader(
        prefix=prefix,
        keys=keys,
        shapes={name: tuple(shapes[key]) for name, key in keys.items()},
    )


def _averages(keys: Collection[str]) -> dict[str, str]:
    """Official name of the weight -> key of its average."""
    return {
        _official(key).removesuffix(f"/{_AVERAGE}"): key
        for key in keys
        if key.startswith(_AVERAGES) and key.endswith(_SUFFIX)
    }


def keys_by_kind(prefix: str) -> dict[str, dict[str, str]]:
    """Kind -> name -> key, of all variables of a native checkpoint, each read once.

    So each has been compared with its checksum: damage is noticed here.

    Raises:
        *DAMAGE: It is damaged.
    """
    reader = tf.train.load_checkpoint(prefix)
    keys: dict[str, dict[str, str]] = {}
    for key in reader.get_variable_to_shape_map():
        reader.get_tensor(key)
        kind, _, rest = key.partition("/")
        if rest and kind != "save_counter":
            keys.setdefault(kind, {})[_unescape(rest)] = key
    return keys


def _reader(prefix: str) -> Any:
    try:
        return tf.train.load_checkpoint(prefix)
    except DAMAGE as error:
        raise InputError(f"{prefix}: a damaged checkpoint ({error})") from None


def _is_weight(key: str, is_native: bool) -> bool:
    if is_native:
        return key.startswith(_PREFIX) and key.endswith(_SUFFIX)
    return key not in _COUNTERS and key.rsplit("/", 1)[-1] not in _EXTRAS


def _official(key: str) -> str:
    """The TF1 name of what a key means; TF1 names are as they are."""
    kinds = (_PREFIX, _AVERAGES, *_OTHERS)
    kind = next((k for k in kinds if key.startswith(k)), None)
    if kind is None or not key.endswith(_SUFFIX):
        return key
    name = _unescape(key.removeprefix(kind))
    return f"{name}/{_AVERAGE}" if kind == _AVERAGES else name


def _unescape(name: str) -> str:
    """Undoes the escapes of object-based checkpoints."""
    return name.removesuffix(_SUFFIX).replace(".S", "/").replace("..", ".")
