"""Data sets by name, and which one a folder of records is."""

from collections.abc import Mapping

from deeplab_tf import storage
from deeplab_tf.data import spec as spec_
from deeplab_tf.data.spec import DatasetSpec
from deeplab_tf.data.specs import (
    ade20k,
    camvid,
    cityscapes,
    pascal_context,
    person_part,
    shapes,
    voc2012,
)
from deeplab_tf.errors import FlagError, InputError, one_of

DEFAULT = "pascal_voc_seg"
DATASETS: Mapping[str, DatasetSpec] = {
    spec.name: spec
    for spec in (
        voc2012.SPEC,
        cityscapes.SPEC,
        ade20k.SPEC,
        ade20k.SPEC_150,
        pascal_context.SPEC,
        pascal_context.SPEC_59,
        person_part.SPEC,
        camvid.SPEC,
        shapes.SPEC,
    )
}


def resolve(
    dataset: str | None, dataset_dir: str | None, trained: DatasetSpec | None = None
) -> DatasetSpec:
    """The data set that is meant.

    A `dataset.json` in the folder describes it; without one, the name does, then what
    the network was trained on, then the official default.

    Args:
        dataset: `--dataset`, or None.
        dataset_dir: `--dataset_dir`, or None.
        trained: What the network was trained on, if that is known.

    Raises:
        FlagError: An unknown name, or one that contradicts `dataset.json`.
        InputError: No such folder.
    """
    spec = None
    if dataset_dir is not None:
        if not storage.is_folder(dataset_dir):
            raise InputError(f"--dataset_dir={dataset_dir}: no such folder")
        spec = spec_.load(dataset_dir)
    if spec and dataset and dataset != spec.name:
        raise FlagError(
            f"--dataset={dataset}: {dataset_dir}/{spec_.FILE_NAME} says {spec.name}; "
            "leave --dataset out"
        )
    if spec:
        return spec
    if dataset is None and trained:
        return trained
    name = dataset or DEFAULT
    if name not in DATASETS:
        raise FlagError(
            f"--dataset={name}: {one_of(name, DATASETS)}, or a "
            f"--dataset_dir with a {spec_.FILE_NAME} (datasets/build_folder_data.py)"
        )
    return DATASETS[name]
