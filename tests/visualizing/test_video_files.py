"""Videos: frames in are frames out, sizes are right, and failures are told."""

import json
import struct
import subprocess

import cv2
import numpy as np
import pytest

from deeplab_tf.errors import InputError
from deeplab_tf.visualizing import video_files
from deeplab_tf.visualizing.video_files import VideoWriter, open_clip, read_frames

needs_x264 = pytest.mark.skipif(
    not video_files.has_x264(), reason="[video] is not installed"
)


def write_video(path, *, frames=10, size=(40, 64), rate=12.5):
    """Frames of gray 0, 10, 20, ...; path ends in .avi (MJPG) or .mp4 (mp4v)."""
    code = cv2.VideoWriter_fourcc(*("MJPG" if path.suffix == ".avi" else "mp4v"))
    writer = cv2.VideoWriter(str(path), code, rate, size[::-1])
    assert writer.isOpened()
    for i in range(frames):
        writer.write(np.full((*size, 3), 10 * (i % 25), np.uint8))
    writer.release()
    return path


@pytest.fixture(params=["mp4v", pytest.param("x264", marks=needs_x264)])
def codec(request, monkeypatch):
    if request.param == "mp4v":
        monkeypatch.setattr(video_files, "has_x264", lambda: False)
    return request.param


@pytest.mark.parametrize("size", [(41, 63), (40, 63), (41, 64), (40, 64)])
def test_all_frames_of_any_size_are_written(codec, tmp_path, size):
    """Rows and columns, too: each is of another gray, in steps that a codec keeps."""
    path = tmp_path / "new" / "clip.mp4"
    rows = 40 + 100 * (np.arange(size[0]) > size[0] - 5)
    picture = np.repeat(rows[:, None], size[1], axis=1)
    picture[:, size[1] - 5 :] += 100
    picture = np.stack([picture] * 3, axis=-1).astype(np.uint8)
    even = video_files.to_even(picture)
    assert [side % 2 for side in even.shape[:2]] == [0, 0]
    np.testing.assert_array_equal(even[: size[0], : size[1]], picture)
    np.testing.assert_array_equal(even[-1], even[size[0] - 1])
    np.testing.assert_array_equal(even[:, -1], even[:, size[1] - 1])
    with VideoWriter(path, even.shape[:2], 12.5) as writer:
        for _ in range(30):
            writer.write(even)
    clip = open_clip(path)
    assert (clip.frames, clip.size, clip.rate) == (30, even.shape[:2], 12.5)
    frames = [frame for _, frame in read_frames(clip)]
    assert len(frames) == 30
    assert np.abs(frames[0].astype(int) - even).max() < 40  # Nothing is shifted.
    assert [each.name for each in path.parent.iterdir()] == ["clip.mp4"]


def test_each_so_manyth_frame_comes_in_order_and_in_color(tmp_path):
    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, (64, 40))
    for i in range(10):
        frame = np.zeros((40, 64, 3), np.uint8)
        frame[..., 2] = 20 * i + 20  # Red, in OpenCV's order.
        writer.write(frame)
    writer.release()
    drawn = list(read_frames(open_clip(path), stride=3))
    assert [number for number, _ in drawn] == [0, 3, 6, 9]
    for number, frame in drawn:
        mean = frame.reshape(-1, 3).mean(axis=0)
        np.testing.assert_allclose(mean, [20 * number + 20, 0, 0], atol=6)
    limited = open_clip(path, most=4)
    assert limited.frames == 4
    assert [number for number, _ in read_frames(limited, stride=2)] == [0, 2]


def test_what_a_telephone_held_sideways_is_upright(tmp_path):
    """The matrix of an MP4 track, by which players turn it."""
    path = write_video(tmp_path / "clip.mp4")
    content = path.read_bytes()
    place = content.index(b"tkhd") + 4 + 4 + 4 * 5 + 8 + 8
    plain = struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 1 << 30)
    assert content[place : place + 36] == plain
    turned = struct.pack(">9i", 0, 65536, 0, -65536, 0, 0, 40 << 16, 0, 1 << 30)
    path.write_bytes(content[:place] + turned + content[place + 36 :])
    clip = open_clip(path)
    assert clip.size == (64, 40)
    assert {frame.shape for _, frame in read_frames(clip)} == {(64, 40, 3)}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("text.mp4", b"this is text\n" * 50),
        ("empty.mp4", b""),
        ("half.mp4", None),
        ("half.avi", None),
    ],
)
def test_a_broken_video_is_a_line_with_its_name(tmp_path, capfd, name, content):
    path = tmp_path / name
    if content is None:
        whole = write_video(path).read_bytes()
        content = whole[: len(whole) // 2]
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"{name}: cannot be read as a video; is it"):
        open_clip(path)
    assert capfd.readouterr().err == ""


def test_a_video_that_lacks_frames_is_told_with_what_would_do(tmp_path, monkeypatch):
    path = write_video(tmp_path / "cut.avi", frames=10)
    opened = cv2.VideoCapture

    class Capture:  # From classes of OpenCV, none may be derived.
        def __init__(self, *arguments):
            self._capture = opened(*arguments)

        def __getattr__(self, name):
            return getattr(self._capture, name)

        def get(self, what):
            return 100.0 if what == cv2.CAP_PROP_FRAME_COUNT else 12.5

    monkeypatch.setattr(cv2, "VideoCapture", Capture)
    said = (
        r"cut\.avi: a damaged video: of 100 frames, 10 can be read; --video_frames=10"
    )
    with pytest.raises(InputError, match=said):
        open_clip(path)
    assert open_clip(path, most=10).frames == 10


def write(path, sizes, *, lost=0):
    with VideoWriter(path, sizes[0], 10) as writer:
        for size in sizes:
            writer.write(np.zeros((*size, 3), np.uint8))
        writer.frames += lost


def test_a_frame_of_another_size_is_told_and_leaves_no_file(codec, tmp_path):
    path = tmp_path / "clip.mp4"
    said = r"clip\.mp4: frame 1 is 64x42, where all are"
    with pytest.raises(InputError, match=said):
        write(path, [(40, 64), (42, 64)])
    assert list(tmp_path.iterdir()) == []


def test_an_encoder_that_drops_frames_is_told_and_leaves_no_file(
    codec, tmp_path, monkeypatch
):
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"before")
    said = r"of 3 frames of 64x40, the file holds 2 of 64x40; is the disk full"
    with pytest.raises(InputError, match=said):
        write(path, [(40, 64)] * 2, lost=1)
    assert [each.name for each in tmp_path.iterdir()] == ["clip.mp4"]
    assert path.read_bytes() == b"before"


def test_a_codec_that_opencv_lacks_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(video_files, "has_x264", lambda: False)
    monkeypatch.setattr(video_files, "_MP4V", int.from_bytes(b"avc1", "little"))
    with pytest.raises(
        InputError, match=r"OpenCV has no mp4v; pip install 'deeplab-tf"
    ):
        VideoWriter(tmp_path / "clip.mp4", (40, 64), 10)


@needs_x264
def test_x264_writes_what_every_player_shows(tmp_path):
    import imageio_ffmpeg

    path = tmp_path / "clip.mp4"
    with VideoWriter(path, (40, 64), 10) as writer:
        for i in range(5):
            writer.write(np.full((40, 64, 3), 10 * i, np.uint8))
    told = subprocess.run(
        [imageio_ffmpeg.get_ffmpeg_exe(), "-i", str(path)],
        capture_output=True,
        text=True,
        check=False,
    ).stderr
    assert "Video: h264" in told, json.dumps(told)
    assert "yuv420p" in told
