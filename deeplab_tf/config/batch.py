"""Settings of deeplab-predict, which predicts any number of pictures."""

import dataclasses
from typing import ClassVar, Literal

from deeplab_tf.config.effects import unless, where
from deeplab_tf.config.fields import POSITIVE, check_ranges, flag, require_given
from deeplab_tf.config.predict import TileConfig

OutputFormat = Literal["png", "tfrecord", "coco"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class PredictConfig:
    """Predicts any number of pictures, in shards: interrupted, it goes on.

        deeplab-predict --model=model.onnx --input='photos/**' --output=masks

    Paths may begin with gs://, s3://, hdfs:// and whatever else fsspec knows.
    """

    topic: ClassVar = "Prediction of many pictures"
    rules: ClassVar = (
        unless("runner", "processes"),
        where("runner", "beam_options"),
    )
    model: str | None = flag(
        "An export (SavedModel, .onnx, .tflite, .xml, .pb), a training folder, a "
        "checkpoint, or zoo:NAME.",
        None,
        required=True,
    )
    input: str | None = flag(
        "Photographs: a folder, a pattern in quotes, as 'photos/**', or a .txt file "
        "with a path a line; or TFRecord shards, as 'records/val-*'.",
        None,
        required=True,
    )
    output: str | None = flag(
        "Folder of the predictions; new, or of the same command before.",
        None,
        required=True,
    )
    output_format: OutputFormat = flag(
        "Indexed PNGs; TFRecord shards of photographs with predictions as labels; or "
        "lines of COCO's JSON, with run lengths.",
        "png",
        common=True,
    )
    batch_size: int = flag(
        "Pictures of one size that go through the network together.",
        1,
        within=POSITIVE,
        common=True,
    )
    shard_size: int = flag(
        "Pictures of a shard, which is done or not done; of TFRecord input, a shard is "
        "one of its own.",
        256,
        within=POSITIVE,
    )
    threads: int = flag(
        "Threads of a process; other numbers may round otherwise.", 1, within=POSITIVE
    )
    processes: int | None = flag(
        "Processes to predict in, each with the network; by default one a core. One "
        "process alone uses a GPU.",
        None,
        within=POSITIVE,
        common=True,
    )
    runner: str | None = flag(
        "Predict by Apache Beam, with this runner: DirectRunner, FlinkRunner, "
        "SparkRunner, DataflowRunner, ...",
        None,
        common=True,
    )
    beam_options: tuple[str, ...] = flag(
        "Options of the Beam pipeline of --runner, as --flink_master=host:8081.", ()
    )
    tiles: TileConfig = TileConfig()

    def __post_init__(self) -> None:
        require_given(self)
        check_ranges(self)
