"""Which files below a folder are images, and what is passed over aloud."""

import pytest

from deeplab_tf.data import image_folders
from deeplab_tf.errors import InputError


@pytest.fixture
def folder(tmp_path):
    """Makes files of nothing by their paths, in a folder called photos."""

    def make(*paths):
        for path in paths:
            (tmp_path / "photos" / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "photos" / path).touch()
        return tmp_path / "photos"

    return make


def images(folder, **options):
    paths = image_folders.find_images(folder, **options)
    return [path.relative_to(folder).as_posix() for path in paths]


def test_images_are_found_by_any_suffix_in_any_case(folder, caplog):
    photos = folder("b.PNG", "a.jpeg", "deep/c.JPG", "notes.txt")
    assert images(photos) == ["a.jpeg", "b.PNG", "deep/c.JPG"]
    assert not caplog.records


def test_no_folder_and_no_images_are_told_apart(folder):
    photos = folder("notes.txt")
    with pytest.raises(InputError, match=r"photos: no images \(\.jpg, \.jpeg"):
        images(photos)
    with pytest.raises(InputError, match="photos2: no such folder"):
        images(photos.with_name("photos2"))
    with pytest.raises(InputError, match=r"notes\.txt: a file, not a folder"):
        images(photos / "notes.txt")


def test_links_to_folders_are_followed(folder, tmp_path):
    photos = folder("a/p0.jpg", "../store/p1.jpg", "../store/deep/p2.jpg")
    (photos / "b").symlink_to("../store")
    (photos / "p3.jpg").symlink_to(tmp_path / "store/p1.jpg")
    assert images(photos) == ["a/p0.jpg", "b/deep/p2.jpg", "b/p1.jpg", "p3.jpg"]


def test_loops_of_links_end_and_are_told(folder, caplog):
    photos = folder("a/p0.jpg", "../masks/p0.png")
    (photos / "a/up").symlink_to("..")
    (photos / "a/out").symlink_to("../..")
    (photos / "self").symlink_to(".")
    assert images(photos) == ["a/p0.jpg"]
    said = f"{photos}: passed over 3 links to folders that are read already, as "
    assert f"{said}{photos}/a/out" in caplog.text


def test_a_folder_counts_once_however_many_links_lead_to_it(folder, caplog):
    photos = folder("z/p0.jpg", "../store/p1.jpg")
    (photos / "a").symlink_to("z")
    for name in ("b", "c"):
        (photos / name).symlink_to("../store")
    assert images(photos) == ["b/p1.jpg", "z/p0.jpg"]
    assert "passed over 2 links to folders that are read already" in caplog.text


def test_links_to_nothing_are_left_to_the_reader_or_told(folder, caplog):
    photos = folder("p0.jpg")
    (photos / "p1.jpg").symlink_to("gone.jpg")
    (photos / "more").symlink_to("/gone")
    assert images(photos) == ["p0.jpg", "p1.jpg"]
    said = f"{photos}: passed over 1 links that lead nowhere, as {photos}/more"
    assert said in caplog.text


@pytest.mark.parametrize(
    "hidden",
    [
        *(".p0.jpg", "._p0.jpg", "deep/.ipynb_checkpoints/p0-checkpoint.jpg"),
        *("__MACOSX/photos/p0.jpg", "deep/@eaDir/p0.jpg/thumb.jpg"),
        *("$RECYCLE.BIN/x.png", "#recycle/x.png", ".Trash-1000/files/x.png"),
        "System Volume Information/x.png",
    ],
)
def test_hidden_files_and_those_of_systems_are_no_photographs(folder, hidden, caplog):
    photos = folder("p0.jpg", "deep/p1.jpg", hidden, "Thumbs.db")
    assert images(photos) == ["deep/p1.jpg", "p0.jpg"]
    said = "passed over 1 images that are hidden or of the system, as "
    assert f"{photos}: {said}{photos}/{hidden}" in caplog.text


def test_a_folder_that_is_hidden_itself_can_be_given(folder):
    photos = folder(".cache/photos/p0.jpg", ".cache/photos/.hidden/p1.jpg")
    assert images(photos / ".cache/photos") == ["p0.jpg"]


def test_a_folder_called_as_an_image_is_a_folder(folder):
    assert images(folder("p0.jpg", "p1.jpg/p2.jpg")) == ["p0.jpg", "p1.jpg/p2.jpg"]


def test_pictures_that_vis_drew_are_not_drawn_again(folder, caplog):
    drawn = "out/segmentation_results/p0_overlay.png"
    photos = folder("p0.jpg", drawn, "out/raw_segmentation_results/p0.png")
    folder("out/legend.png", "legend.png")
    assert images(photos) == ["legend.png", "p0.jpg"]
    assert "passed over 3 images that vis.py drew, as " in caplog.text
    # Whoever names the folder itself means it: pseudo-labels.
    assert images(photos / "out/raw_segmentation_results") == ["p0.png"]


def test_images_of_kinds_that_are_not_read_are_told(folder, caplog):
    photos = folder("p0.jpg", "p1.HEIC", "p2.heic", "p3.gif")
    assert images(photos) == ["p0.jpg"]
    said = f"{photos}: 3 images are of kinds that are not read, as {photos}/p1.HEIC"
    assert said in caplog.text


def test_a_folder_can_be_left_out(folder):
    photos = folder("p0.jpg", "masks/p0.png")
    assert images(photos, without=[photos / "masks"]) == ["p0.jpg"]


def test_patterns_are_matched_below_links_and_not_below_what_is_hidden(folder):
    photos = folder("ulm/a_left.png", "ulm/._a_left.png", "../store/b_left.png")
    (photos / "bonn").symlink_to("../store")
    matches = image_folders.match_files(photos, "*/*_left.png")
    assert matches == {
        ("bonn", "b"): photos / "bonn/b_left.png",
        ("ulm", "a"): photos / "ulm/a_left.png",
    }
    assert list(image_folders.match_files(photos, "ulm/?_left.png")) == [("a",)]
    assert image_folders.match_files(photos, "gone/*.png") == {}
