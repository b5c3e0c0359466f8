"""Data sets that tensorflow_datasets has prepared: which features, which classes.

They are read as they lie on disk. Nothing is downloaded, and no code of theirs is run.
"""

import dataclasses
import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from absl import logging

from deeplab_tf.config import TfdsConfig
from deeplab_tf.config.data import TFDS
from deeplab_tf.data import class_names
from deeplab_tf.data.labels import contract
from deeplab_tf.data.spec import Color, DatasetSpec, distinct_colors
from deeplab_tf.data.tfds.known import KNOWN, Known
from deeplab_tf.errors import FlagError, InputError

_NAMES = ("file_name", "filename", "image/filename", "image_id", "image_name", "id")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Features:
    """Which features of an example hold what; a name that no feature holds is None."""

    image: str
    label: str
    name: str | None


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class PreparedDataset:
    """A prepared data set; can be pickled.

    Attributes:
        name: As `--dataset` has it, without `tfds:`.
        data_dir: Folder below which it lies; None for the usual one.
        features: Which are read.
        spec: What the ids mean once the table has changed them.
        table: Id in the masks -> class id, `[65536]`, or None.
    """

    name: str
    data_dir: str | None
    features: Features
    spec: DatasetSpec
    table: np.ndarray | None

    @property
    def builder(self) -> Any:
        """The `tfds.core.DatasetBuilder`."""
        return find_builder(self.name, self.data_dir)


def open_prepared(
    name: str, data_dir: str | None, config: TfdsConfig
) -> PreparedDataset:
    """Opens a data set.

    Args:
        name: As tensorflow_datasets spells it, `name/config:version`.
        data_dir: Folder below which it was prepared, or None for the usual one.
        config: What the data set does not tell by itself.

    Raises:
        InputError: It has not been prepared.
        FlagError: It does not tell which features, or which classes.
    """
    info = find_builder(name, data_dir).info
    known = KNOWN.get(info.name)
    changes = config.changes or dict(known.changes if known else {})
    features = _features(name, info.features, config, known)
    return PreparedDataset(
        name=name,
        data_dir=data_dir,
        features=features,
        spec=_spec(name, info, features.label, config, known),
        table=contract.id_table(changes) if changes else None,
    )


def find_builder(name: str, data_dir: str | None) -> Any:
    """The `tfds.core.DatasetBuilder` of a prepared data set.

    Raises:
        InputError: It has not been prepared; says what to run.
    """
    from tensorflow_datasets.core import read_only_builder, registered

    try:
        with silence_logging():
            return read_only_builder.builder_from_files(name, data_dir=data_dir)
    except registered.DatasetNotFoundError:
        raise InputError(_not_prepared(name, data_dir)) from None
    except ValueError as error:  # A name that tensorflow_datasets cannot parse.
        first = str(error).strip().splitlines()[0]
        raise FlagError(f"--dataset={TFDS}{name}: {first}") from None


@contextmanager
def silence_logging() -> Iterator[None]:
    """Without what tensorflow_datasets says about its own code."""
    before = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
    try:
        yield
    finally:
        logging.set_verbosity(before)


def _not_prepared(name: str, data_dir: str | None) -> str:
    import tensorflow_datasets as tfds
    from tensorflow_datasets.core import constants

    plain = re.split("[/:]", name)[0]
    with silence_logging():
        known = tfds.list_builders(with_community_datasets=False)
    near = difflib.get_close_matches(plain, known, 1)
    asked = f"--dataset={TFDS}{name}"
    if plain not in known and near:
        return f"{asked}: tensorflow_datasets has none of this name; {near[0]}?"
    where = f", data_dir={data_dir!r}" if data_dir else ""
    return (
        f"{asked}: not prepared in {data_dir or constants.DATA_DIR}, and nothing "
        'is downloaded here; run: python -c "import tensorflow_datasets as tfds; '
        f'tfds.builder({name!r}{where}).download_and_prepare()"'
    )


def _features(
    name: str, features: Mapping[str, Any], config: TfdsConfig, known: Known | None
) -> Features:
    import tensorflow_datasets as tfds

    images = {
        each: feature
        for each, feature in sorted(features.items())
        if isinstance(feature, tfds.features.Image)
    }
    masks = [each for each, feature in images.items() if feature.shape[-1] == 1]
    named = [each for each in masks if hasattr(images[each], "names")]
    photos = [each for each, feature in images.items() if feature.shape[-1] == 3]
    texts = [each for each in _NAMES if each in features and _is_text(features[each])]
    image, label = config.tfds_image_feature, config.tfds_label_feature
    if known:
        image, label = image or known.image, label or known.label
    return Features(
        image=_choose_feature("tfds_image_feature", name, image, photos, [*images]),
        label=_choose_feature(
            "tfds_label_feature", name, label, named or masks, [*images]
        ),
        name=texts[0] if texts else None,
    )


def _choose_feature(
    flag: str, name: str, given: str | None, fitting: Sequence[str], all_: Sequence[str]
) -> str:
    """The feature given, or the only one that fits."""
    if given:
        if given not in all_:
            raise FlagError(
                f"--{flag}={given}: {TFDS}{name} has the image features "
                f"{', '.join(all_) or 'none'}"
            )
        return given
    if len(fitting) != 1:
        raise FlagError(
            f"--{flag} is missing: {TFDS}{name} has {len(fitting)} that fit, of its "
            f"image features {', '.join(all_) or '(none)'}"
        )
    return fitting[0]


def _is_text(feature: Any) -> bool:
    return feature.shape == () and feature.np_dtype in (np.object_, np.str_, np.bytes_)


def _spec(
    name: str, info: Any, label: str, config: TfdsConfig, known: Known | None
) -> DatasetSpec:
    classes = config.class_names and class_names.resolve(config.class_names)
    palette: tuple[Color, ...] = ()
    if known and not classes:
        if config.tfds_label_map:
            raise FlagError(
                f"--class_names is missing: {TFDS}{name} is known as "
                f"{', '.join(known.classes)}, and --tfds_label_map makes other ids"
            )
        classes, palette = known.classes, known.palette
    if not classes and not config.tfds_label_map:
        classes = _own_names(info.features[label])
    if not classes:
        raise FlagError(
            f"--class_names is missing: the names of the classes of {TFDS}{name} from "
            "id 0, as background,cat,dog, once --tfds_label_map has changed the ids"
        )
    return DatasetSpec(
        name=TFDS + name,
        classes=classes,
        palette=palette or distinct_colors(len(classes)),
        split_sizes={split: info.splits[split].num_examples for split in info.splits},
    )


def _own_names(feature: Any) -> tuple[str, ...]:
    """The names that a `LabeledImage` has; one that has but a number counts up."""
    names = tuple(getattr(feature, "names", ()))
    return () if names == tuple(map(str, range(len(names)))) else names
