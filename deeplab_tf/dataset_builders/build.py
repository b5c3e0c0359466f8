"""Dataset builder: samples -> checked records and `dataset.json`.

A shard is read, checked and written in one pass, many at a time. Records appear in the
output folder only once all masks were found right and all shards are written; a build
that was killed goes on where it was.
"""

import dataclasses
import hashlib
import json
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

import PIL
from absl import logging

from deeplab_tf import storage
from deeplab_tf.config.remedies import PUBLISHED
from deeplab_tf.data import spec as spec_
from deeplab_tf.data.spec import DatasetSpec
from deeplab_tf.data.tfrecord_writer import shard_split
from deeplab_tf.dataset_builders import dataset_json, left_out, workers
from deeplab_tf.dataset_builders.images_config import ImagesConfig
from deeplab_tf.dataset_builders.parallel_config import ParallelConfig
from deeplab_tf.dataset_builders.resume import StagedBuild, staged_build
from deeplab_tf.dataset_builders.shard import Shard, ShardWriter, plan_shards
from deeplab_tf.dataset_builders.sources import SampleSource
from deeplab_tf.errors import InputError, Remedies
from deeplab_tf.files import check_writable


def build(
    splits: Mapping[str, SampleSource],
    spec: DatasetSpec,
    output_dir: str,
    *,
    shards: int = 4,
    parallel: ParallelConfig = ParallelConfig(),
    remedies: Remedies = PUBLISHED,
    images: ImagesConfig | None = None,
) -> DatasetSpec:
    """Writes the shards of each split and `dataset.json`.

    Args:
        splits: Samples of each split, in the order of the records.
        spec: What the ids mean; sizes, counts and checksums are added here.
        output_dir: Made if need be. Shards of the same splits are replaced. A remote
            one holds no records yet; they are written to a disk first.
        shards: Files a split.
        parallel: In how many processes, or by Beam; the records are the same.
        remedies: What to do about masks that break the label contract, by kind.
        images: What to do about damaged and large ones; None where nobody is asked.

    Returns:
        The data set as `dataset.json` describes it.

    Raises:
        InputError: A file is missing, damaged, or breaks the label contract; or the
            folder has records that these cannot lie beside. Then it is as it was.
        OSError: The disk is full. Then the same call goes on with the finished shards.
    """
    _refuse_taken(output_dir)
    with storage.stage_folder(output_dir) as local:
        folder = check_writable("output_dir", local)
        _check_splits(splits)
        spec = _build(
            splits,
            spec,
            folder,
            shards=shards,
            parallel=parallel,
            remedies=remedies,
            images=images,
        )
    for split in splits:
        logging.info("%s: %d images of %s", output_dir, spec.split_sizes[split], split)
    next_command = shlex.join(["deeplab-data", "check", output_dir])
    logging.info("Next: %s", next_command)
    return spec


def _refuse_taken(output_dir: str) -> None:
    """Raises an InputError where a remote folder has records; none are added to it."""
    described = storage.join(output_dir, spec_.FILE_NAME)
    if storage.is_remote(output_dir) and storage.exists(described):
        raise InputError(
            f"--output_dir={output_dir}: it holds records already; choose another "
            "folder, or remove them"
        )


def _build(
    splits: Mapping[str, SampleSource],
    spec: DatasetSpec,
    folder: Path,
    *,
    shards: int,
    parallel: ParallelConfig,
    remedies: Remedies,
    images: ImagesConfig | None,
) -> DatasetSpec:
    """`build` in a folder on a disk."""
    plan = {
        split: plan_shards(split, len(source), shards)
        for split, source in splits.items()
    }
    planned = [shard for some in plan.values() for shard in some]
    with staged_build(folder, _fingerprint(splits, spec, shards, images)) as staged:
        others = _spec_of_other_splits(folder, spec, splits)
        writer = ShardWriter(
            splits=splits,
            spec=spec,
            folder=staged.folder,
            remedies=remedies,
            images=images or ImagesConfig(),
        )
        _write_missing(writer, staged, planned, parallel)
        summaries = dataset_json.load_summaries(writer, plan)
        left_out.check_damaged(summaries, skip=images.skip_damaged if images else None)
        whole = left_out.drop_empty_shards(staged.folder, plan, summaries)
        spec = dataset_json.describe(writer, *whole)
        left_out.tell_remarks(folder, summaries)
        if others:
            spec = dataset_json.merge_splits(spec, others)
        staged.publish(spec)
        left_out.save_lists(folder, summaries)
    return spec


def _write_missing(
    writer: ShardWriter,
    staged: StagedBuild,
    planned: Sequence[Shard],
    parallel: ParallelConfig,
) -> None:
    """Writes the shards that an earlier build, cut short, has not."""
    finished = set(staged.finished_shards(planned))
    if finished:
        logging.info(
            "%s: keeping %d of %d shards of a build that was cut short",
            staged.output,
            len(finished),
            len(planned),
        )
    missing = [shard for shard in planned if shard not in finished]
    workers.write_shards(writer, missing, parallel, finished=sum(map(len, finished)))


def _check_splits(splits: Mapping[str, SampleSource]) -> None:
    for split, source in splits.items():
        if not re.fullmatch(r"\w+", split):
            raise InputError(
                f"{split or 'no folder'} as a split, by its folder or list: letters, "
                "digits and _ are possible, as train"
            )
        if not len(source):
            raise InputError(f"split {split}: no images")


def _spec_of_other_splits(
    folder: Path, spec: DatasetSpec, splits: Mapping[str, SampleSource]
) -> DatasetSpec | None:
    """Describes the splits in the folder that stay; None without such."""
    before = spec_.load(folder)
    _check_all_described(folder, before)
    if before is None:
        return None
    if before.name != spec.name:
        raise InputError(
            f"--output_dir={folder}: it holds records of {before.name}, by its "
            f"{spec_.FILE_NAME}; choose another folder for {spec.name}"
        )
    others = {shard_split(path.name) for path in folder.iterdir()} - splits.keys()
    stay = [split for split in before.split_sizes if split in others]
    same = (before.classes, before.ignore_label) == (spec.classes, spec.ignore_label)
    if stay and not same:
        raise InputError(
            f"--output_dir={folder}: its split {stay[0]} has other classes, by its "
            f"{spec_.FILE_NAME}; choose another folder"
        )
    return dataset_json.select_splits(before, stay) if stay else None


def _check_all_described(folder: Path, before: DatasetSpec | None) -> None:
    """Raises an InputError where shards lie there that no `dataset.json` describes."""
    if before and not (before.shards or before.split_sizes):
        return  # It was written by hand, and is of all that is there.
    unknown = [
        path.name
        for path in sorted(folder.iterdir())
        if (split := shard_split(path.name))
        and not _describes(before, split, path.name)
    ]
    if unknown:
        raise InputError(
            f"--output_dir={folder}: it holds {len(unknown)} shards that no "
            f"{spec_.FILE_NAME} describes, first {unknown[0]}; choose another folder, "
            "or remove them"
        )


def _describes(spec: DatasetSpec | None, split: str, shard: str) -> bool:
    if spec is None:
        return False
    return shard in spec.shards if spec.shards else split in spec.split_sizes


def _fingerprint(
    splits: Mapping[str, SampleSource],
    spec: DatasetSpec,
    shards: int,
    images: ImagesConfig | None,
) -> str:
    """Changes with whatever the bytes of the records follow from."""
    facts = (
        dataset_json.VERSION,
        spec_.SCHEMA,
        PIL.__version__,  # It compresses the masks.
        spec.to_json(),
        shards,
        dataclasses.asdict(images or ImagesConfig()),
        {split: (len(source), source.identity()) for split, source in splits.items()},
    )
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()
