"""Videos drawn: each frame once, smoothed, told of; a camera until Ctrl-C."""

import itertools
import logging
import time

import numpy as np
import pytest
from PIL import Image

from deeplab_tf.config import TileConfig, VideoConfig
from deeplab_tf.data import image_files
from deeplab_tf.errors import FlagError, InputError
from deeplab_tf.prediction.predictions import Prediction
from deeplab_tf.visualizing import video
from deeplab_tf.visualizing.run import visualize
from deeplab_tf.visualizing.video import Smoothing, draw_clip
from deeplab_tf.visualizing.video_files import Clip, open_clip, read_frames
from tests.visualizing.test_run import config


def write_odd_video(path, frames, size=(39, 61)):
    """A raw video, YUV4MPEG2, as OpenCV writes none: 12.5 gray frames a second."""
    with path.open("wb") as file:
        file.write(b"YUV4MPEG2 W%d H%d F25:2 Ip A1:1 C444\n" % size[::-1])
        for i in range(frames):
            gray = np.full(size, 20 + 2 * i % 200, np.uint8)
            colors = np.full((2, *size), 128, np.uint8)
            file.write(b"FRAME\n" + gray.tobytes() + colors.tobytes())
    return path


def test_a_hundred_frames_of_odd_size_in_are_a_hundred_out(run, tmp_path, caplog):
    source = write_odd_video(tmp_path / "clip.avi", 100)
    with caplog.at_level(logging.INFO):
        visualize(config(run, tmp_path / "vis", image=str(source)))
    drawn = open_clip(tmp_path / "vis/segmentation_results/clip_overlay.mp4")
    assert (drawn.frames, drawn.size, drawn.rate) == (100, (40, 62), 12.5)
    assert "61x39 (width x height) is padded to 62x40" in caplog.text
    assert "100 frames of 62x40 (width x height) at 12.50 a second; drew" in caplog.text
    raw = tmp_path / "vis/raw_segmentation_results/clip"
    masks = sorted(path.name for path in raw.iterdir())
    assert masks == [f"{i:06d}.png" for i in range(100)]
    assert image_files.read_mask(raw / masks[0]).shape == (39, 61)


def test_panels_stand_side_by_side_and_photographs_are_drawn_too(run, tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    write_odd_video(photos / "clip.avi", 7)
    Image.new("RGB", (30, 20)).save(photos / "a.png")
    visualize(
        config(
            run,
            tmp_path / "vis",
            image=f"{photos}/**",
            panels=("original", "prediction"),
            also_save_raw_predictions=False,
            palette="contrast",
            videos=VideoConfig(video_stride=2, video_frames=5, video_smoothing=0.5),
            tiles=TileConfig(tile=(33, 33)),
        )
    )
    folder = tmp_path / "vis/segmentation_results"
    assert sorted(path.name for path in folder.iterdir()) == [
        *("a_image.png", "a_overlay.png", "a_prediction.png", "clip_overlay.mp4"),
    ]
    clip = open_clip(folder / "clip_overlay.mp4")
    assert (clip.frames, clip.size, clip.rate) == (3, (40, 122), 6.25)
    (_, frame), *_ = read_frames(clip)
    assert np.abs(frame[5:34, 5:56].astype(int) - 22).max() < 30  # The original.


def test_smoothing_is_the_exponential_mean_of_probabilities(rng):
    frames = rng.random((5, 4, 3, 2)).astype(np.float32)
    smoothing, mean = Smoothing(0.7), frames[0].astype(np.float64)
    for i, values in enumerate(frames):
        mean = mean if i == 0 else 0.7 * mean + 0.3 * values
        image = np.zeros((4, 3, 3), np.uint8)
        given = Prediction(
            image=image, classes=values.argmax(-1), probabilities=values.copy()
        )
        smooth = smoothing.smooth(given)
        np.testing.assert_allclose(smooth.probabilities, mean, atol=1e-6)
        np.testing.assert_array_equal(smooth.classes, mean.argmax(-1))
    assert Smoothing(0.0).smooth(given) is given
    with pytest.raises(FlagError, match=r"--video_smoothing=1\.0: at least 0, less"):
        VideoConfig(video_smoothing=1.0)


@pytest.mark.parametrize("limit", [None, 3])
def test_a_camera_ends_with_its_limit_or_with_ctrl_c(
    tmp_path, monkeypatch, caplog, limit
):
    camera, path = Clip("a camera", 0, (40, 64), 200, limit), tmp_path / "camera.mp4"

    def frames(clip, stride):
        for i in itertools.count() if limit is None else range(limit):
            if i == 6:
                raise KeyboardInterrupt
            time.sleep(0.02 * (i == 1))
            yield i, np.full((40, 64, 3), 20 * i, np.uint8)

    monkeypatch.setattr(video.video_files, "read_frames", frames)
    with caplog.at_level(logging.INFO):
        draw_clip(camera, path, plain, lambda prediction: prediction.image)
    clip = open_clip(path)
    assert clip.frames == (limit or 6)
    assert clip.rate < 51  # That of the network, not of the camera.
    assert f"camera.mp4: {limit or 6} frames" in caplog.text


def plain(frames):
    for frame in frames:
        yield Prediction(image=frame, classes=np.zeros(frame.shape[:2], np.int32))


def test_ctrl_c_in_a_file_ends_the_command_and_leaves_no_half(tmp_path):
    clip = open_clip(write_odd_video(tmp_path / "clip.avi", 5))

    def interrupt(prediction):
        if prediction.name == "000002":
            raise KeyboardInterrupt
        return prediction.image

    with pytest.raises(KeyboardInterrupt):
        draw_clip(clip, tmp_path / "drawn.mp4", plain, interrupt)
    assert [path.name for path in tmp_path.iterdir()] == ["clip.avi"]


@pytest.mark.parametrize(
    ("changes", "kind", "said"),
    [
        ({"image": "bad.mp4"}, InputError, "bad.mp4: cannot be read as a video; is it"),
        (
            {"image": "a.png", "videos": VideoConfig(video_stride=2)},
            FlagError,
            "--video_stride=2 has no effect on photographs alone; leave it out",
        ),
    ],
)
def test_a_mistake_with_a_video_leaves_nothing(
    run, tmp_path, monkeypatch, changes, kind, said
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.mp4").write_text("this is text")
    Image.new("RGB", (30, 20)).save("a.png")
    with pytest.raises(kind, match=said):
        visualize(config(run, tmp_path / "vis", **changes))
    assert not (tmp_path / "vis").exists()
