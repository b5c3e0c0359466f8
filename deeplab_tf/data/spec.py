"""Data set specification: classes and colors; kept as `dataset.json` beside records."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path

from deeplab_tf import storage
from deeplab_tf.data import class_names
from deeplab_tf.errors import InputError
from deeplab_tf.files import write_whole
from deeplab_tf.text_files import explain, read_json, to_record

Color = tuple[int, int, int]
FILE_NAME = "dataset.json"
SCHEMA = 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class DatasetSpec:
    """A data set.

    Attributes:
        name: As `--dataset` has it.
        classes: Name of each id, from 0.
        palette: Color of each id, RGB in 0...255.
        ignore_label: Id of pixels that count nowhere; may be that of a class.
        split_sizes: Images of each split: published, or counted when it was built.
        pixel_counts: Of each split, pixels of each class; known where it was built, as
            is all that follows.
        id_mapping: Of each split, what became of the ids in its files, as in
            `--label_map`: "7:0,8:1,*:255", where * stands for all others.
        checksums: SHA-256 of each split: of names, images and masks, in their order.
        shards: SHA-256 of each shard, by the name of its file.
        shard_sizes: Bytes of each shard, by the name of its file.
        largest_images: Of each split, height and width of the image with the longest
            side.
        version: What built it, "deeplab_tf 0.1.0".
        schema: Of this description; 0 before there were numbers.
    """

    name: str
    classes: tuple[str, ...]
    palette: tuple[Color, ...]
    ignore_label: int = 255
    split_sizes: Mapping[str, int] = dataclasses.field(default_factory=dict)
    pixel_counts: Mapping[str, tuple[int, ...]] = dataclasses.field(
        default_factory=dict
    )
    id_mapping: Mapping[str, str] = dataclasses.field(default_factory=dict)
    checksums: Mapping[str, str] = dataclasses.field(default_factory=dict)
    shards: Mapping[str, str] = dataclasses.field(default_factory=dict)
    shard_sizes: Mapping[str, int] = dataclasses.field(default_factory=dict)
    largest_images: Mapping[str, tuple[int, int]] = dataclasses.field(
        default_factory=dict
    )
    version: str = ""
    schema: int = 0

    def __post_init__(self) -> None:
        checked = class_names.check(self.classes, f"data set {self.name}")
        object.__setattr__(self, "classes", checked)
        if not 2 <= self.num_classes <= 256:
            raise InputError(
                f"data set {self.name}: {self.num_classes} classes; 2 to 256 are "
                "possible (one object is two classes: it, and the background)"
            )
        if len(self.palette) != self.num_classes:
            raise InputError(
                f"data set {self.name}: {len(self.palette)} colors for "
                f"{self.num_classes} classes"
            )
        if not all(0 <= value <= 255 for color in self.palette for value in color):
            raise InputError(f"data set {self.name}: colors are RGB in 0...255")
        if not 0 <= self.ignore_label <= 255:
            raise InputError(
                f"--ignore_label={self.ignore_label}: 0 to 255 is possible"
            )

    @property
    def num_classes(self) -> int:
        """How many ids there are; the ignore label is not counted."""
        return len(self.classes)

    def save(self, folder: Path) -> None:
        """Writes `dataset.json`."""
        write_whole(folder / FILE_NAME, self.to_json())

    def to_json(self) -> str:
        """What `dataset.json` says."""
        return json.dumps(dataclasses.asdict(self), indent=1) + "\n"


def load(folder: Path | str) -> DatasetSpec | None:
    """Reads `dataset.json`; None where there is none.

    Raises:
        InputError: It cannot be understood, or its remote folder not be reached.
    """
    if storage.is_remote(str(folder)):
        return _load_remote(str(folder))
    path = Path(folder) / FILE_NAME
    if not path.exists():
        return None
    what = "a data set's description"
    facts = read_json(path, what)
    with explain(path, what):
        if facts.get("schema", 0) > SCHEMA:
            raise InputError(
                f"{path}: a newer version wrote it, {facts['version']}; update this one"
            )
        facts["classes"] = class_names.check(facts["classes"], path)
        if odd := [name for name in facts.get("shards", ()) if Path(name).name != name]:
            raise ValueError(f"{odd[0]} is no name of a shard")
        known = {field.name for field in dataclasses.fields(DatasetSpec)}
        return to_record(
            DatasetSpec, {name: facts[name] for name in facts if name in known}
        )


def _load_remote(folder: str) -> DatasetSpec | None:
    if not storage.exists(storage.join(folder, FILE_NAME)):
        return None
    with storage.local_copy(storage.join(folder, FILE_NAME)) as path:
        try:
            return load(path.parent)
        except InputError as error:
            local = str(path.parent)
            raise InputError(str(error).replace(local, folder)) from None


def distinct_colors(count: int) -> tuple[Color, ...]:
    """The VOC palette: bits of the id, three by three, from the highest bit down."""
    return tuple(
        (_bits(label), _bits(label >> 1), _bits(label >> 2)) for label in range(count)
    )


def _bits(label: int) -> int:
    return sum((label >> 3 * j & 1) << 7 - j for j in range(8))
