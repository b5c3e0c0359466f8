"""ADE20K, on a small tree in its layout."""

import numpy as np
import pytest

from deeplab_tf.errors import FlagError, InputError
from tests.datasets import trees

IDS = trees.bands(13, 7, [0, 150, 1, 149, 2])


@pytest.fixture
def root(tmp_path, rng):
    root = tmp_path / "ADEChallengeData2016"
    for folder, split in (("training", "train"), ("validation", "val")):
        for i in (1, 2, 3):
            name = f"ADE_{split}_{i:08d}"
            photo = trees.photo(rng, 13, 7)
            if i == 3:  # ADE20K has a few gray photographs.
                photo = photo[..., 0]
            trees.write_photo(root / "images" / folder / f"{name}.jpg", photo)
            trees.write_mask(root / "annotations" / folder / f"{name}.png", IDS)
    return root


@pytest.fixture
def build(builder, root, tmp_path):
    module = builder("ade20k")
    folders = {
        f"{split}_image_{kind}folder": str(root / source / folder)
        for split, folder in (("train", "training"), ("val", "validation"))
        for kind, source in (("", "images"), ("label_", "annotations"))
    }

    def run(**settings):
        output = {"output_dir": str(tmp_path / "records")}
        module.build(module.Ade20kConfig(**(folders | output | settings)))
        return tmp_path / "records"

    return run


def test_the_official_ids_are_kept_and_0_is_ignored(build, root):
    records = build()
    for split, folder in (("train", "training"), ("val", "validation")):
        examples = trees.examples(records, split)
        assert len(examples) == 3
        for i, features in enumerate(examples, start=1):
            image = root / "images" / folder / f"ADE_{split}_{i:08d}.jpg"
            trees.assert_record(features, image, IDS)
    facts = trees.described(records)
    assert (facts["name"], facts["ignore_label"]) == ("ade20k", 0)
    assert len(facts["classes"]) == 151
    assert facts["classes"][:3] == ["other", "wall", "building"]
    assert facts["classes"][150] == "flag"


def test_150_classes_count_from_0(build):
    records = build(reduce_zero_label=True)
    expected = trees.bands(13, 7, [255, 149, 0, 148, 1])
    for features in trees.examples(records, "train"):
        np.testing.assert_array_equal(trees.label(features), expected)
    facts = trees.described(records)
    assert (facts["name"], facts["ignore_label"]) == ("ade20k_150", 255)
    assert len(facts["classes"]) == 150
    assert (facts["classes"][0], facts["classes"][149]) == ("wall", "flag")
    counts = facts["pixel_counts"]["val"]
    # Three masks of 13 rows of 7: rows 2, 7, 12 are of the first class, 4 and 9 of the
    # second.
    assert (counts[0], counts[1]) == (3 * 3 * 7, 3 * 2 * 7)


@pytest.mark.parametrize("reduced", [False, True])
def test_ids_that_there_are_not_are_refused(build, root, reduced):
    mask = root / "annotations" / "training" / "ADE_train_00000002.png"
    trees.write_mask(mask, np.where(IDS == 149, 151, IDS))
    with pytest.raises(InputError, match=r"00000002\.png: ids 151 are neither"):
        build(reduce_zero_label=reduced)


def test_an_image_without_a_mask_is_named(build, root):
    (root / "annotations" / "validation" / "ADE_val_00000001.png").unlink()
    with pytest.raises(InputError, match=r"ADE_val_00000001\.jpg: no mask .*1 of 3"):
        build()


def test_a_download_goes_where_the_images_are_looked_for(build):
    with pytest.raises(FlagError, match=r"--train_image_folder=photos: with --downl"):
        build(download=True, train_image_folder="photos")
