"""Apache Beam: shards written by a pipeline, for data that outgrow one machine.

All its workers must see the images and the output folder by the same paths.
"""

from collections.abc import Sequence

from deeplab_tf.dataset_builders.parallel_config import ParallelConfig, WorkerLost
from deeplab_tf.dataset_builders.shard import Shard, ShardSummary, ShardWriter
from deeplab_tf.errors import FlagError, InputError


def write_shards(
    writer: ShardWriter, shards: Sequence[Shard], parallel: ParallelConfig
) -> None:
    """Writes shards; errors of samples are kept in the shards' summaries.

    Raises:
        FlagError: Beam is not installed.
        WorkerLost: The pipeline broke, as where a machine was lost or a disk is full.
    """
    try:
        import apache_beam as beam
        from apache_beam.options.pipeline_options import PipelineOptions
    except ImportError:
        raise FlagError(
            f"--beam_runner={parallel.beam_runner} needs Apache Beam: "
            "pip install 'deeplab-tf[beam]'"
        ) from None
    options = PipelineOptions(
        [f"--runner={parallel.beam_runner}", *parallel.beam_options]
    )
    pipeline = beam.Pipeline(options=options)
    try:
        with pipeline:
            spread = pipeline | beam.Create(shards) | beam.Reshuffle()
            spread | beam.Map(_write_shard, writer)
    except Exception as error:  # Whatever it was, a runner makes it its own.
        if cause := _input_error(error):
            raise cause from None
        raise WorkerLost(
            f"--beam_runner={parallel.beam_runner}: {_last_line(error)}; the same "
            "command goes on"
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


def _write_shard(shard: Shard, writer: ShardWriter) -> None:
    try:
        writer.write(shard)
    except InputError as error:  # A runner would wrap it in its own.
        ShardSummary(error=str(error)).save(writer.folder / shard.name)
