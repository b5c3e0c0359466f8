"""What --image names: files, folders, patterns, lists, videos, a camera."""

import cv2
import numpy as np
import pytest
from PIL import Image

from deeplab_tf.errors import FlagError, InputError
from deeplab_tf.visualizing.sources import find_sources
from tests.visualizing.test_video_files import write_video


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """A folder that one stands in: photographs, a video, and what is neither."""
    monkeypatch.chdir(tmp_path)
    names = ("photos/a.jpg", "photos/deep/b.png", "photos/deep/c.jpg", "d,e.png")
    for name in (*names, "photos/.hidden.jpg", "segmentation_results/x.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 6)).save(tmp_path / name)
    (tmp_path / "photos/notes.txt").write_text("no image")
    write_video(tmp_path / "photos/deep/v.avi", frames=3)
    return tmp_path


def names(image):
    sources = find_sources(image)
    return (
        [name for name, _ in sources.photographs],
        [name for name, _ in sources.clips],
    )


@pytest.mark.parametrize(
    ("image", "photographs", "clips"),
    [
        ("photos/a.jpg", ["a"], []),
        ("photos", ["a", "deep/b", "deep/c"], ["deep/v"]),
        ("photos/*.jpg", ["a"], []),
        ("photos/**/*.jpg", ["a", "deep/c"], []),
        ("photos/**", ["a", "deep/b", "deep/c"], ["deep/v"]),
        ("photos/deep/?.png", ["b"], []),
        ("photos/*/b.png,photos/a.jpg", ["deep/b", "a"], []),
        ("photos/a.jpg,photos", ["a", "deep/b", "deep/c"], ["deep/v"]),
        ("d,e.png", ["d,e"], []),
        ("photos/deep/v.avi", [], ["v"]),
    ],
)
def test_it_names_photographs_and_videos(photos, image, photographs, clips):
    assert names(image) == (photographs, clips)
    if image.startswith("photos") and "," not in image:
        assert names(f"{photos}/{image}") == (photographs, clips)


@pytest.mark.parametrize(
    ("image", "kind", "said"),
    [
        ("none.jpg", InputError, "--image=none.jpg: no such file or folder"),
        ("photos/a.jpg,none.jpg", InputError, "--image=none.jpg: no such file or"),
        ("photos/*.webp", InputError, r"--image=photos/\*\.webp: no image or video"),
        ("none/**", InputError, r"--image=none/\*\*: no image or video fits"),
        ("photos/a.jpg,0", FlagError, "a camera, 0, comes alone; leave out the others"),
        ("photos/*.jpg,photos/deep/*.*", None, ""),
        ("73", InputError, "--image=73: the camera cannot be opened, and there is no"),
    ],
)
def test_what_is_not_there_is_told_in_a_line(photos, image, kind, said):
    if kind is None:
        assert names(image) == (["a", "b", "c"], ["v"])
        return
    with pytest.raises(kind, match=said):
        find_sources(image)


def test_two_photographs_of_one_name_are_told(photos):
    (photos / "other").mkdir()
    Image.new("RGB", (8, 6)).save(photos / "other/a.png")
    with pytest.raises(InputError, match=r"other/a\.png and photos/a\.jpg: two images"):
        find_sources("photos/a.jpg,other/a.png")


def test_a_number_is_a_camera_unless_there_is_such_a_file(photos, monkeypatch):
    Image.new("RGB", (8, 6)).save(photos / "7", format="PNG")
    assert names("7") == (["7"], [])

    class Camera:
        def __init__(self, source, reader):
            assert source == 0

        def isOpened(self):
            return True

        def get(self, what):
            return 0.0

        def release(self):
            pass

        def read(self):
            return True, np.zeros((48, 64, 3), np.uint8)

    monkeypatch.setattr(cv2, "VideoCapture", Camera)
    ((name, clip),) = find_sources("0", most=5).clips
    assert (name, clip.source, clip.size) == ("camera", 0, (48, 64))
    assert (clip.frames, clip.rate, clip.is_camera) == (5, 25.0, True)
