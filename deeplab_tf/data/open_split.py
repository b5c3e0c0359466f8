"""Opens a split, of TFRecord shards or tensorflow_datasets: its classes and records."""

import dataclasses
import re

from deeplab_tf import storage
from deeplab_tf.config import DataConfig, TfdsConfig
from deeplab_tf.config.data import TFDS
from deeplab_tf.config.fields import Overrides
from deeplab_tf.data import shard_checksums, spec_compatibility, specs, tfrecord
from deeplab_tf.data import spec as spec_
from deeplab_tf.data.records import Records, Shards
from deeplab_tf.data.spec import DatasetSpec


def open_split(
    data: DataConfig,
    tfds: TfdsConfig,
    split: str,
    trained: DatasetSpec | None = None,
    *,
    needs_labels: bool = True,
) -> tuple[DatasetSpec, Records]:
    """The data set that is meant, and the records of a split.

    Args:
        data: What was asked for.
        tfds: What is what in a data set of tensorflow_datasets.
        split: "train".
        trained: What the network was trained on, if that is known.
        needs_labels: Whether a record without a label is a mistake.

    Raises:
        InputError: There is no such data set or split, a shard is cut off or of another
            size than recorded, or the network has learned other classes.
        FlagError: A name that contradicts the folder, or that nothing is known of.
    """
    if name := _tfds_name(data, trained):
        from deeplab_tf.data.tfds import builder  # It takes a second.
        from deeplab_tf.data.tfds import records as tfds_records

        prepared = builder.open_prepared(name, data.dataset_dir, tfds)
        _check(prepared.spec, data, trained)
        return prepared.spec, tfds_records.open_split(
            prepared, split, needs_labels=needs_labels
        )
    spec = specs.resolve(data.dataset, data.dataset_dir, trained)
    _check(spec, data, trained)
    return spec, _open_shards(data.dataset_dir or "", split, needs_labels)


def _open_shards(folder: str, split: str, needs_labels: bool) -> Shards:
    """The records of a folder; of what its `dataset.json` records, sizes are compared.

    That alone: what a run or the name of a data set tells is of other files. Of remote
    files checksums are not: they would be fetched for it, whole.
    """
    paths = tfrecord.find_shards(folder, split)
    records = Shards(paths=paths, needs_labels=needs_labels)
    records.count()  # Raises where one is cut off.
    described = spec_.load(folder)
    if described is None:
        return records
    shard_checksums.check_sizes(paths, described)
    if storage.is_remote(folder):
        return records
    checksums = shard_checksums.checksums_of(paths, described)
    return dataclasses.replace(records, checksums=checksums)


def tfds_config(
    data: DataConfig,
    given: Overrides[TfdsConfig],
    trained: DatasetSpec | None,
    saved: TfdsConfig | None,
) -> TfdsConfig:
    """What is what in a data set of tensorflow_datasets, once a network is trained.

    Args:
        data: What was asked for.
        given: What of it was given.
        trained: What the network was trained on, if that is known.
        saved: What held for that; of another data set it says nothing.
    """
    same = trained and _plain(trained.name) == _plain(data.dataset or trained.name)
    return given.onto(saved if same else None)


def _plain(name: str) -> str:
    """Without `tfds:`, configuration and version."""
    return re.split("[/:]", name.removeprefix(TFDS))[0]


def open_spec(
    data: DataConfig, tfds: TfdsConfig, trained: DatasetSpec | None
) -> DatasetSpec:
    """As `open_split`, without a split."""
    if data.tfds:
        from deeplab_tf.data.tfds import builder

        spec = builder.open_prepared(data.tfds, data.dataset_dir, tfds).spec
    else:
        spec = specs.resolve(data.dataset, data.dataset_dir, trained)
    _check(spec, data, trained)
    return spec


def _check(spec: DatasetSpec, data: DataConfig, trained: DatasetSpec | None) -> None:
    if trained:
        subject = "the checkpoint was trained on"
        spec_compatibility.check_same_classes(
            trained,
            spec,
            subject=subject,
            folder=data.dataset_dir or "",
            renamed=data.classes_renamed,
        )


def _tfds_name(data: DataConfig, trained: DatasetSpec | None) -> str | None:
    """Of the data set in tensorflow_datasets; None where records are meant."""
    if data.dataset or not (trained and trained.name.startswith(TFDS)):
        return data.tfds
    folder = data.dataset_dir or ""
    has_records = spec_.load(folder) or tfrecord.splits(folder)
    return None if has_records else trained.name.removeprefix(TFDS)
