"""A video, or what a camera sees, drawn frame by frame."""

import contextlib
import dataclasses
import itertools
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
from absl import logging

from deeplab_tf import console
from deeplab_tf.prediction.predictions import Prediction
from deeplab_tf.visualizing import video_files
from deeplab_tf.visualizing.video_files import Clip, VideoWriter

Predict = Callable[[Iterable[np.ndarray]], Iterator[Prediction]]
Draw = Callable[[Prediction], np.ndarray]


@dataclasses.dataclass
class Smoothing:
    """Exponential mean of the probabilities of a video's frames, against flicker.

    Attributes:
        share: Of the mean before in each mean, in 0...1 without 1; 0 is none.
        mean: Of the frames so far, float32 `[H, W, C]`.
    """

    share: float
    mean: np.ndarray | None = None

    def smooth(self, prediction: Prediction) -> Prediction:
        """The prediction with the mean's classes, which need its probabilities."""
        if self.share == 0:
            return prediction
        assert prediction.probabilities is not None
        if self.mean is None:
            self.mean = prediction.probabilities.copy()
        else:
            self.mean *= self.share
            self.mean += (1 - self.share) * prediction.probabilities
        classes = self.mean.argmax(axis=-1).astype(np.int32)
        return dataclasses.replace(prediction, classes=classes, probabilities=self.mean)


def draw_clip(
    clip: Clip,
    path: Path,
    predict: Predict,
    draw: Draw,
    *,
    stride: int = 1,
    smoothing: float = 0.0,
) -> None:
    """Writes a video of the predictions; tells of its speed.

    A camera's ends with Ctrl-C, too; the file is then that of the frames until there.

    Args:
        clip: What is read.
        path: Of the video, `.mp4`.
        predict: Frames, RGB, uint8 `[H, W, 3]` -> their predictions, in order; with
            probabilities, if they are to be smoothed.
        draw: Prediction, whose name is the number of its frame -> picture, RGB, uint8,
            of one size.
        stride: Take every so manyth frame.
        smoothing: See `Smoothing.share`.

    Raises:
        InputError: A frame cannot be read, or the video not be written; then there is
            none.
    """
    start, rate = time.perf_counter(), clip.rate / stride
    pictures = _pictures(clip, predict, draw, Smoothing(smoothing), stride)
    head = [next(pictures)]
    if clip.is_camera:  # Its video shows what the network keeps up with.
        begin = time.perf_counter()
        head += itertools.islice(pictures, 1)
        rate = min(rate, 1 / (time.perf_counter() - begin))
    size = video_files.to_even(head[0]).shape[:2]
    if size != head[0].shape[:2]:
        logging.info(
            "%s: %dx%d (width x height) is padded to %dx%d, as codecs take even sides",
            *(path, *head[0].shape[1::-1], *size[::-1]),
        )
    total = clip.frames and -(-clip.frames // stride)
    with VideoWriter(path, size, rate) as writer:
        with console.bar(total=total, unit="frame") as bar, _until_interrupted(clip):
            for picture in itertools.chain(head, pictures):
                writer.write(video_files.to_even(picture))
                bar.update()
        speed = writer.frames / (time.perf_counter() - start)
    logging.info(
        "%s: %d frames of %dx%d (width x height) at %.2f a second; drew %.1f a second",
        *(path, writer.frames, *size[::-1], rate, speed),
    )


def _pictures(
    clip: Clip, predict: Predict, draw: Draw, smoothing: Smoothing, stride: int
) -> Iterator[np.ndarray]:
    frames = (frame for _, frame in video_files.read_frames(clip, stride))
    for number, prediction in zip(itertools.count(0, stride), predict(frames)):
        smooth = smoothing.smooth(prediction)
        yield draw(dataclasses.replace(smooth, name=f"{number:06d}"))


@contextlib.contextmanager
def _until_interrupted(clip: Clip) -> Iterator[None]:
    """Ctrl-C ends what a camera sees; of a file, it ends the command."""
    try:
        yield
    except KeyboardInterrupt:
        if not clip.is_camera:
            raise
