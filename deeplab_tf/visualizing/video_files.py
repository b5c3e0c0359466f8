"""Video files, and a camera: frames in, and out a file that is checked.

OpenCV reads, turns what a telephone held sideways upright, and writes MPEG-4 (mp4v);
where imageio-ffmpeg is installed, its x264 writes H.264 in half of the bytes.
"""

import contextlib
import dataclasses
import importlib.util
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np

from deeplab_tf.errors import InputError

# Read when OpenCV first uses FFmpeg: what that says of a file, we say in our own words.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
SUFFIXES = (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm", ".wmv")
_MP4V = int.from_bytes(b"mp4v", "little")
_RATE = 25.0  # Frames a second, where a file does not tell, or says what cannot be.
_MOST = 480.0
# A container may estimate its count of frames by its length; a file that was cut off
# lacks more.
_COUNT_TOLERANCE = 0.02
_QUALITY = 7  # Of x264, in 0...10: contours stay sharp.


@dataclasses.dataclass(frozen=True)
class Clip:
    """A video, or a camera.

    Attributes:
        name: For messages.
        source: Its file, or the camera's number.
        size: Height, width of the frames, upright.
        rate: Frames a second.
        frames: How many there are to read; None where a camera has no end.
    """

    name: str
    source: Path | int
    size: tuple[int, int]
    rate: float
    frames: int | None

    @property
    def is_camera(self) -> bool:
        """Whether frames come until somebody ends it."""
        return isinstance(self.source, int)


def open_clip(source: Path | int, *, most: int | None = None) -> Clip:
    """Looks at a video, all of which is decoded once, or at a camera.

    Args:
        source: File, or number of a camera.
        most: Frames that are needed, at most; what follows is not looked at.

    Raises:
        InputError: It cannot be read, or ends before it should.
    """
    is_camera = isinstance(source, int)
    name = f"--image={source}: the camera" if is_camera else str(source)
    with _capture(source, name) as capture:
        told = capture.get(cv2.CAP_PROP_FRAME_COUNT)
        rate = capture.get(cv2.CAP_PROP_FPS)
        read, frame = capture.read()
        if not read:
            raise InputError(f"{name}: gives no frames")
        if not 0 < rate <= _MOST:
            rate = _RATE
        if is_camera:
            return Clip(name, source, frame.shape[:2], rate, most)
        frames = 1
        while frames != most and capture.grab():
            frames += 1
    if frames != most and frames < told * (1 - _COUNT_TOLERANCE):
        raise InputError(
            f"{name}: a damaged video: of {told:.0f} frames, {frames} can be read; "
            f"--video_frames={frames} draws these"
        )
    return Clip(name, source, frame.shape[:2], rate, frames)


def read_frames(clip: Clip, stride: int = 1) -> Iterator[tuple[int, np.ndarray]]:
    """Yields number and pixels, RGB, uint8 `[H, W, 3]`, of every `stride`-th frame.

    Raises:
        InputError: A frame cannot be read, or has another size than the first.
    """
    with _capture(clip.source, clip.name) as capture:
        number = 0
        while number != clip.frames and capture.grab():
            if number % stride == 0:
                read, frame = capture.retrieve()
                if not read or frame.shape[:2] != clip.size:
                    what = f"{frame.shape[1]}x{frame.shape[0]}" if read else "damaged"
                    height, width = clip.size
                    raise InputError(
                        f"{clip.name}: frame {number} is {what}, where all are to be "
                        f"{width}x{height} (width x height)"
                    )
                yield number, cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
            number += 1
    if clip.frames is not None and number < clip.frames:
        raise InputError(f"{clip.name}: ended after {number} of {clip.frames} frames")


@contextlib.contextmanager
def _capture(source: Path | int, name: str) -> Iterator[cv2.VideoCapture]:
    """An open video, or camera.

    Raises:
        InputError: It cannot be opened.
    """
    is_file = isinstance(source, Path)
    # Other readers of OpenCV take a name with digits for a series of images.
    reader = cv2.CAP_FFMPEG if is_file else cv2.CAP_ANY
    with _quiet():
        capture = cv2.VideoCapture(str(source) if is_file else source, reader)
    try:
        if not capture.isOpened():
            if is_file:
                raise InputError(f"{name}: cannot be read as a video; is it whole?")
            raise InputError(f"{name} cannot be opened, and there is no such file")
        yield capture
    finally:
        capture.release()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """What OpenCV says of what it cannot open, we say in our own words."""
    before = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(before)


def to_even(picture: np.ndarray) -> np.ndarray:
    """A picture of even sides: the last row and column are repeated.

    No codec here keeps odd ones: OpenCV's lose a row or column, without a word, and
    H.264 with common colors (4:2:0) refuses them.
    """
    height, width = picture.shape[:2]
    pads = ((0, height % 2), (0, width % 2), (0, 0))
    return np.pad(picture, pads, mode="edge")


class VideoWriter:
    """An MP4 file, written beside its place, read again, then put there.

    As a context: an error in it leaves no file.

    Args:
        path: Of the file, `.mp4`.
        size: Height, width of the frames, both even.
        rate: Frames a second.

    Raises:
        InputError: It cannot be written.
    """

    def __init__(self, path: Path, size: tuple[int, int], rate: float) -> None:
        self._path, self._size, self.frames = path, size, 0
        self._unfinished = path.with_name(f".{path.stem}.new.mp4")
        path.parent.mkdir(parents=True, exist_ok=True)
        self._unfinished.unlink(missing_ok=True)
        begin = _begin_x264 if has_x264() else _begin_mp4v
        try:
            self._write, self._end = begin(self._unfinished, size, rate)
        except OSError as error:
            raise InputError(f"{path}: cannot be written ({error})") from None

    def write(self, picture: np.ndarray) -> None:
        """Adds a frame, RGB, uint8 `[H, W, 3]`.

        Raises:
            InputError: It has another size.
        """
        if picture.shape[:2] != self._size:
            raise InputError(
                f"{self._path}: frame {self.frames} is {picture.shape[1]}x"
                f"{picture.shape[0]}, where all are to be {self._size[1]}x"
                f"{self._size[0]} (width x height)"
            )
        try:
            self._write(np.ascontiguousarray(picture))
        except OSError as error:
            raise InputError(f"{self._path}: cannot be written ({error})") from None
        self.frames += 1

    def __enter__(self) -> "VideoWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            self._end()
            if kind is None:
                self._check()
                self._unfinished.replace(self._path)
        finally:
            self._unfinished.unlink(missing_ok=True)

    def _check(self) -> None:
        """Raises where the file does not hold all of it; encoders do not tell."""
        try:
            clip = open_clip(self._unfinished)
        except InputError:
            clip = Clip("", self._unfinished, self._size, 0.0, 0)
        if (clip.frames, clip.size) != (self.frames, self._size):
            raise InputError(
                f"{self._path}: could not be written: of {self.frames} frames of "
                f"{self._size[1]}x{self._size[0]}, the file holds {clip.frames} of "
                f"{clip.size[1]}x{clip.size[0]}; is the disk full?"
            )


_Encoder = tuple[Callable[[np.ndarray], object], Callable[[], object]]


def has_x264() -> bool:
    """Whether imageio-ffmpeg is installed."""
    return importlib.util.find_spec("imageio_ffmpeg") is not None


def _begin_mp4v(path: Path, size: tuple[int, int], rate: float) -> _Encoder:
    """What writes a frame, and what ends the file, by OpenCV."""
    with _quiet():
        writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, _MP4V, rate, size[::-1])
    if not writer.isOpened():
        raise OSError(
            "OpenCV has no mp4v; pip install 'deeplab-tf[video]' brings H.264"
        )
    return (
        lambda picture: writer.write(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)),
        writer.release,
    )


def _begin_x264(path: Path, size: tuple[int, int], rate: float) -> _Encoder:
    """The same by x264, in a process of FFmpeg."""
    import imageio_ffmpeg

    encoder = imageio_ffmpeg.write_frames(
        str(path),
        size[::-1],
        fps=rate,
        codec="libx264",
        quality=_QUALITY,
        macro_block_size=2,
        ffmpeg_log_level="quiet",
    )
    encoder.send(None)
    return encoder.send, encoder.close
