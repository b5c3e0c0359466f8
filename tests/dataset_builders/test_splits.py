"""Photographs and masks that patterns pair."""

import pytest

from deeplab_tf.dataset_builders.pairing import pairs_by_glob
from deeplab_tf.errors import FlagError


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def paired(folder, image_glob, label_glob):
    """Name -> the paths below the folder that are paired."""
    pairs = pairs_by_glob(folder, image_glob, folder, label_glob).values()
    return {
        pair.name: tuple(
            path.relative_to(folder).as_posix() for path in (pair.image, pair.label)
        )
        for pair in pairs
    }


def test_a_star_stands_for_the_same_in_both(tmp_path):
    touch(tmp_path, "a_1_photo.jpg", "b_2_photo.jpg", "1-a.png", "a-1.png", "b-2.png")
    assert paired(tmp_path, "*_*_photo.jpg", "*-*.png") == {
        "1": ("a_1_photo.jpg", "a-1.png"),
        "2": ("b_2_photo.jpg", "b-2.png"),
    }


def test_names_are_of_all_stars_where_the_last_is_not_enough(tmp_path):
    touch(tmp_path, "x/1.jpg", "y/1.jpg", "x/1.png", "y/1.png")
    assert paired(tmp_path, "*/*.jpg", "*/*.png") == {
        "x_1": ("x/1.jpg", "x/1.png"),
        "y_1": ("y/1.jpg", "y/1.png"),
    }


def test_two_stars_are_folders_at_will(tmp_path):
    touch(tmp_path, "im/a.jpg", "im/x/y/b.jpg", "ids/a.png", "ids/x/y/b.png")
    assert paired(tmp_path, "im/**/*.jpg", "ids/**/*.png") == {
        "a": ("im/a.jpg", "ids/a.png"),
        "b": ("im/x/y/b.jpg", "ids/x/y/b.png"),
    }


def test_a_question_mark_is_one_letter(tmp_path):
    touch(tmp_path, "a1.jpg", "a12.jpg", "m1.png")
    assert paired(tmp_path, "a?.jpg", "m?.png") == {"1": ("a1.jpg", "m1.png")}


def test_points_and_brackets_are_themselves(tmp_path):
    touch(tmp_path, "1+x.jpg", "1+xajpg", "1(x).png")
    assert paired(tmp_path, "*+x.jpg", "*(x).png") == {"1": ("1+x.jpg", "1(x).png")}


def test_patterns_of_other_numbers_of_stars_are_refused(tmp_path):
    with pytest.raises(FlagError, match="as many"):
        pairs_by_glob(tmp_path, "*/*.jpg", tmp_path, "*.png")
