"""Shards made by an Apache Beam pipeline, for data that outgrow one machine.

All its workers must see the images and the output folder by the same paths.
"""

from collections.abc import Sequence

from deeplab_tf.dataset_builders.shard import Job, Shard, Summary
from deeplab_tf.dataset_builders.work import ProcessDied, WorkConfig
from deeplab_tf.errors import FlagError, InputError


def make(job: Job, shards: Sequence[Shard], work: WorkConfig) -> None:
    """Makes shards; what is wrong with samples is told in their summaries.

    Raises:
        FlagError: Beam is not installed.
        ProcessDied: The pipeline broke, as where a machine was lost or a disk is full.
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
    pipeline = beam.Pipeline(options=options)
    try:
        with pipeline:
            spread = pipeline | beam.Create(shards) | beam.Reshuffle()
            spread | beam.Map(_made, job)
    except Exception as error:  # Whatever it was, a runner makes it its own.
        if wrong := _input_error(error):
            raise wrong from None
        raise ProcessDied(
            f"--beam_runner={work.beam_runner}: {_last_line(error)}; the same command "
            "goes on"
        ) from error


def _input_error(error: BaseException | None) -> InputError | None:
    """The one that caused an error."""
    while error:
        if isinstance(error, InputError):
            return error
        error = error.__cause__ or error.__context__
    return None


def _last_line(error: Exception) -> str:
    """What it says; before, there may be a worker's traceback."""
    lines = str(error).strip().splitlines()
    return lines[-1] if lines else type(error).__name__


def _made(shard: Shard, job: Job) -> None:
    try:
        job.make(shard)
    except InputError as error:  # A runner would wrap it in its own.
        Summary(error=str(error)).save(job.folder / shard.name)
