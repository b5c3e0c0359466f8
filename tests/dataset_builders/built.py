"""Builds of drawn samples, and what they left: for tests of building itself."""

from pathlib import Path

import pytest

from deeplab_tf import dataset_builders
from deeplab_tf.data import tfrecord
from deeplab_tf.dataset_builders import WorkConfig
from tests.dataset_builders.drawn import SPEC, Drawn

ONE, TWO = WorkConfig(processes=1), WorkConfig(processes=2)


def build(folder, work=ONE, *, shards=3, spec=SPEC, **splits):
    splits = splits or {"train": Drawn(), "val": Drawn(count=3)}
    return dataset_builders.build(splits, spec, str(folder), shards=shards, work=work)


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
