"""The same as an Apache Beam pipeline: its workers write the shards.

Loaded where --runner is given: Apache Beam lives in an environment of its own.
"""

from collections.abc import Iterator, Sequence

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from deeplab_tf.batch_inference.networks import open_network
from deeplab_tf.batch_inference.shards import Shard
from deeplab_tf.batch_inference.work import Job, write_shard
from deeplab_tf.errors import InputError


class PredictShards(beam.DoFn):
    """Writes the shards that it is given; a worker opens the network once."""

    def __init__(self, job: Job) -> None:
        self._job = job

    def setup(self) -> None:
        open_network(self._job.model, self._job.threads, self._job.tiles)

    def process(self, element: Shard) -> Iterator[tuple[int, int]]:
        yield write_shard(self._job, element)


def write(
    job: Job, shards: Sequence[Shard], runner: str, options: Sequence[str]
) -> int:
    """Writes shards by a pipeline; returns how many pictures they have, if known.

    Raises:
        InputError: The pipeline broke; shards that are done stay.
    """
    settings = PipelineOptions([f"--runner={runner}", *options])
    try:
        with beam.Pipeline(options=settings) as pipeline:
            spread = pipeline | beam.Create(shards) | beam.Reshuffle()
            spread | beam.ParDo(PredictShards(job))
    except Exception as error:  # Whatever it was, a runner makes it its own.
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise InputError(
            f"--runner={runner}: {lines[-1]}; the same command goes on"
        ) from error
    return sum(len(each.pictures) for each in shards if not each.is_of_records)
