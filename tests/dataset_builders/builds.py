"""Builds of synthetic samples, and what they left: for tests of building itself."""

from pathlib import Path

import pytest

from deeplab_tf import dataset_builders
from deeplab_tf.data import tfrecord
from deeplab_tf.dataset_builders import ParallelConfig
from tests.dataset_builders.synthetic import SPEC, SyntheticSource

ONE, TWO = ParallelConfig(processes=1), ParallelConfig(processes=2)


def build(folder, parallel=ONE, *, shards=3, spec=SPEC, **splits):
    splits = splits or {"train": SyntheticSource(), "val": SyntheticSource(count=3)}
    return dataset_builders.build(
        splits, spec, str(folder), shards=shards, parallel=parallel
    )


def contents(folder):
    """Bytes of each file, but for those of an unfinished build."""
    files = [path for path in Path(folder).iterdir() if path.name != ".building"]
    return {path.name: path.read_bytes() for path in files}


def names(folder, split):
    return [
        tfrecord.parse_example(serialized)["name"].numpy().decode()
        for shard in tfrecord.find_shards(str(folder), split)
        for serialized in tfrecord.read(shard)
    ]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """Every byte of the default build."""
    folder = tmp_path_factory.mktemp("undisturbed")
    build(folder)
    return contents(folder)
