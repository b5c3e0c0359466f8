"""MATLAB: masks inside the `.mat` files of SBD, PASCAL-Context and PASCAL-Part.

scipy reads them, with structs as dictionaries (`simplify_cells`).
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from deeplab_tf.data import image_files
from deeplab_tf.errors import InputError


def read_sbd(path: Path) -> np.ndarray:
    """Ids `[H, W]` of a file of SBD's folder cls: `GTcls.Segmentation`.

    Raises:
        InputError: The file is missing, damaged, or another one.
    """
    return _mask(path, _field(path, _load(path, "GTcls"), "Segmentation"))


def read_sbd_or_png(path: Path) -> np.ndarray:
    """Ids `[H, W]` of a file of SBD, or of an image file.

    Raises:
        InputError: The file is missing, damaged, or another one.
    """
    return read_sbd(path) if path.suffix == ".mat" else image_files.read_mask(path)


def read_label_map(path: Path) -> np.ndarray:
    """Ids `[H, W]` of 459 labels of a file of PASCAL-Context: `LabelMap`.

    Raises:
        InputError: The file is missing, damaged, or another one.
    """
    return _mask(path, _load(path, "LabelMap"))


@dataclasses.dataclass(frozen=True)
class PartReader:
    """Reads a file of PASCAL-Part, `anno.objects[].parts[]`, as ids `[H, W]`.

    Attributes:
        kind: Class of the objects whose parts are wanted, as "person".
        ids: Id of each of their parts; everything else is 0.
    """

    kind: str
    ids: Mapping[str, int]

    def __call__(self, path: Path) -> np.ndarray:
        """Ids of a file, `[H, W]`; later objects and parts lie on earlier ones.

        Raises:
            InputError: The file is missing, damaged, or has a part without an id.
        """
        wanted, size = self._read(path)
        ids = np.zeros(size, np.uint8)
        for name, mask in wanted:
            if name not in self.ids:
                raise InputError(
                    f"{path}: part {name} of a {self.kind}: only "
                    f"{', '.join(self.ids)} are known"
                )
            if mask.shape != size:
                raise InputError(
                    f"{path}: part {name} is {mask.shape[1]}x{mask.shape[0]}, its "
                    f"object {size[1]}x{size[0]} (width x height)"
                )
            ids[mask != 0] = self.ids[name]
        return ids

    def has_parts(self, path: Path) -> bool:
        """Whether there is any such part in a file."""
        return bool(self._read(path)[0])

    def _read(self, path: Path) -> tuple[list[tuple[str, np.ndarray]], tuple[int, int]]:
        """Name and mask of each part that is wanted, and height and width of all."""
        objects = _structs(_field(path, _load(path, "anno"), "objects"))
        if not objects:
            raise InputError(f"{path}: anno.objects is empty")
        height, width = _mask(path, _field(path, objects[0], "mask")).shape
        wanted = [
            (
                str(_field(path, part, "part_name")),
                np.atleast_2d(_field(path, part, "mask")),
            )
            for thing in objects
            if str(_field(path, thing, "class")) == self.kind
            for part in _structs(_field(path, thing, "parts"))
        ]
        return wanted, (height, width)


def _load(path: Path, variable: str) -> Any:
    """A variable of a file: an array, or a struct as a dictionary."""
    try:
        from scipy import io
    except ImportError:
        raise InputError(
            f"{path}: to read .mat files scipy is needed: pip install 'deeplab-tf[sbd]'"
        ) from None
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        content = io.loadmat(path, variable_names=[variable], simplify_cells=True)
    except Exception as error:  # Its parser raises whatever garbage leads it to.
        raise InputError(f"{path}: a damaged .mat file ({error})") from None
    return _field(path, content, variable)


def _field(path: Path, struct: Any, name: str) -> Any:
    if not isinstance(struct, Mapping) or name not in struct:
        raise InputError(f"{path}: no {name} in it: a .mat file of something else")
    return struct[name]


def _structs(value: Any) -> Sequence[Any]:
    """A struct array, of which one struct is no list; there is none in `[]`."""
    if isinstance(value, Mapping):
        return [value]
    return list(value) if isinstance(value, list | np.ndarray) else []


def _mask(path: Path, value: Any) -> np.ndarray:
    if (
        not isinstance(value, np.ndarray)
        or value.ndim != 2
        or value.dtype.kind not in "ui"
    ):
        raise InputError(f"{path}: it holds no mask of ids, but {type(value).__name__}")
    return value
