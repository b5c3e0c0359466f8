"""Shards made by an Apache Beam pipeline, for data that outgrow one machine.

All its workers must see the images and the output folder by the same paths.
"""

from collections.abc import Sequence

from deeplab_tf.building.shard import Job, Shard, Summary
from deeplab_tf.building.work import WorkConfig
from deeplab_tf.errors import FlagError, InputError


def make(job: Job, shards: Sequence[Shard], work: WorkConfig) -> None:
    """Makes shards; what is wrong with samples is told in their summaries.

    Raises:
        FlagError: Beam is not installed.
    """
    try:
        import apache_beam as beam
        from apache_beam.options.pipeline_options import PipelineOptions
    except ImportError:
        raise FlagError(
            f"--beam_runner={work.beam_runner} needs Apache Beam: "
            "pip install 'deeplab-tf[beam]'"
        ) from None
    options = PipelineOptions([f"--runner={work.beam_runner}", *work.beam_options])
    with beam.Pipeline(options=options) as pipeline:
        spread = pipeline | beam.Create(shards) | beam.Reshuffle()
        spread | beam.Map(_made, job)


def _made(shard: Shard, job: Job) -> None:
    try:
        job.make(shard)
    except InputError as error:  # A runner would wrap it in its own.
        Summary(error=str(error)).save(job.folder / shard.name)
