"""Data sets of tensorflow_datasets: what is found in them, and in which order."""

import pickle

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from deeplab_tf.config import AugmentConfig, ResizeConfig, TfdsConfig
from deeplab_tf.data import pipeline, tfrecord
from deeplab_tf.data.tfds.builder import Features, find_builder, open_prepared
from deeplab_tf.data.tfds.records import FileSlice, intersect, open_split
from deeplab_tf.errors import FlagError, InputError
from tests import pets

NAMED = TfdsConfig(class_names=pets.CLASSES, tfds_label_map=pets.CHANGES)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Photographs, masks, and below `tfds` what was prepared of them."""
    folder = tmp_path_factory.mktemp("pets")
    pets.draw(folder)
    pets.prepare(pets.TinyPets, folder, folder / "tfds")
    pets.prepare(pets.NamedPets, folder, folder / "tfds")
    return folder


@pytest.fixture
def data(folder):
    return open_prepared("tiny_pets", str(folder / "tfds"), NAMED)


def names(dataset):
    return [sample["name"].numpy().decode() for sample in dataset]


def stored(folder, split):
    """Names in the order in which tensorflow_datasets itself reads them."""
    builder = find_builder("tiny_pets", str(folder / "tfds"))
    config = tfds.ReadConfig(interleave_cycle_length=1)
    found = builder.as_dataset(split=split, read_config=config)
    return [each["file_name"].numpy().decode().removesuffix(".jpg") for each in found]


def test_features_are_found_where_there_is_one_of_each(data):
    assert data.features == Features(image="photo", label="trimap", name="file_name")
    assert data.spec.name == "tfds:tiny_pets"
    assert data.spec.classes == pets.CLASSES
    assert data.spec.split_sizes == {"train": 12, "test": 5}
    assert [data.table[i] for i in (1, 2, 3, 255)] == [1, 0, 255, 255]


def test_bytes_are_those_that_were_prepared(folder, data):
    found = {}
    for sample in open_split(data, "train+test").in_order():
        found[sample["name"].numpy().decode()] = sample
    assert len(found) == 17
    for name, sample in found.items():
        photo = (folder / "photos" / f"{name}.jpg").read_bytes()
        mask = (folder / "masks" / f"{name}.png").read_bytes()
        assert sample["image"].numpy() == photo
        assert sample["label"].numpy() == mask


@pytest.mark.parametrize(
    "split",
    ["train", "train[:80%]", "train[3:11]", "test", "train[2:7]+test[:1]", "train[:2]"],
)
def test_a_split_is_what_tensorflow_datasets_reads(folder, data, split):
    records = open_split(data, split)
    assert names(records.in_order()) == stored(folder, split)
    assert records.count() == len(stored(folder, split))


def test_a_part_is_that_slice_of_the_whole(folder, data):
    records = open_split(data, "train[1:]+test")
    assert (
        names(records.select(2, 13).in_order())
        == stored(folder, "train[1:]+test")[2:13]
    )


def test_file_slices_are_intersected_by_number():
    slices = [
        FileSlice("train", 0, 4),
        FileSlice("train", 4, 9),
        FileSlice("test", 2, 3),
    ]
    assert list(intersect(slices, 3, 6)) == [
        FileSlice("train", 3, 4),
        FileSlice("train", 4, 6),
    ]
    assert list(intersect(slices, 9, 10)) == [FileSlice("test", 2, 3)]
    assert list(intersect(slices, 10, 20)) == []


def test_an_epoch_has_all_once_in_an_order_of_its_own_that_comes_back(data):
    records = open_split(data, "train")
    epochs = [
        names(records.epoch(tf.constant(epoch, tf.int64), seed))
        for epoch, seed in ((0, 1), (1, 1), (0, 2), (0, 1))
    ]
    for order in epochs:
        assert sorted(order) == sorted(map(pets.name, pets.SPLITS["train"]))
    assert epochs[0] == epochs[3]
    assert len({*map(tuple, epochs)}) == 3


def test_a_graph_that_reads_first_keeps_nothing_for_itself(data):
    """Data sets that are made while a function is traced cannot leave it."""
    records = open_split(data, "train")
    nested = tf.data.Dataset.counter(0).flat_map(lambda epoch: records.epoch(epoch, 0))
    assert len(names(nested.take(13))) == 13
    assert len(names(records.in_order())) == 12


def source(data, split="train"):
    return pipeline.InputData(
        records=open_split(data, split),
        ignore_label=255,
        mean_pixel=(127.5, 127.5, 127.5),
        resize=ResizeConfig(),
    )


def training(data, start=0, count=8, context=None):
    """The first crops, [(name, image, label)]."""
    batches = pipeline.training_batches(
        source(data),
        AugmentConfig(train_crop_size=(33, 33)),
        2,
        seed=3,
        start=start,
        context=context,
    )
    return [
        (name.numpy().decode(), image.numpy(), label.numpy())
        for batch in batches.take(count)
        for name, image, label in zip(
            batch["name"], batch["image"], batch["label"], strict=True
        )
    ]


def assert_equal(found, expected):
    assert [each[0] for each in found] == [each[0] for each in expected]
    for (_, *mine), (_, *other) in zip(found, expected, strict=True):
        for a, b in zip(mine, other, strict=True):
            np.testing.assert_array_equal(a, b)


def test_a_run_that_goes_on_sees_what_it_would_have_seen(data):
    """The tenth step is in the second epoch."""
    assert_equal(training(data, start=18, count=3), training(data, count=12)[18:])


def test_machines_share_the_records_without_overlap(data):
    whole = training(data, count=12)
    for index in range(2):
        context = tf.distribute.InputContext(2, index, 2)
        own = [each for i, each in enumerate(whole) if i // 2 % 2 == index]
        assert_equal(training(data, count=6, context=context), own)


def test_labels_are_changed_as_asked(data):
    batches = pipeline.evaluation_batches(
        source(data, "test"), 1, crop_size=(65, 65), multiple=16
    )
    for batch in batches:
        number = int(batch["name"][0].numpy().decode().removeprefix("pet_"))
        ids = pets.trimap(number)
        expected = np.select([ids == 1, ids == 2], [1, 0], 255)
        height, width = ids.shape
        found = batch["label"].numpy()[0, :height, :width, 0]
        np.testing.assert_array_equal(found, expected)


def test_without_a_name_records_have_numbers(folder):
    data = open_prepared("tiny_pets", str(folder / "tfds"), NAMED)
    object.__setattr__(
        data, "features", Features(image="photo", label="trimap", name=None)
    )
    found = names(open_split(data, "train[3:6]+test[:1]").in_order())
    assert found == ["train_000003", "train_000004", "train_000005", "test_000000"]


def test_records_travel_to_another_process(data):
    records = pickle.loads(pickle.dumps(open_split(data, "test")))
    assert names(records.in_order()) == names(open_split(data, "test").in_order())


def test_an_error_names_the_example(data):
    assert open_split(data, "train[5:]").where(2) == "tfds:tiny_pets train: example 7"


def test_names_of_the_ids_are_taken_from_the_feature(folder):
    data = open_prepared("named_pets", str(folder / "tfds"), TfdsConfig())
    assert data.spec.classes == ("nothing", "pet", "background", "border")
    assert data.table is None


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, "--class_names is missing: the names of the classes of tfds:tiny_pets"),
        ({"tfds_label_map": ("1:0",)}, "--class_names is missing"),
        (
            {"class_names": ("a", "b"), "tfds_image_feature": "picture"},
            "--tfds_image_feature=picture: tfds:tiny_pets has the image features photo",
        ),
        (
            {"class_names": ("a", "b"), "tfds_label_feature": "breed"},
            "--tfds_label_feature=breed: tfds:tiny_pets has the image features photo",
        ),
    ],
)
def test_what_cannot_be_found_is_asked_for(folder, config, message):
    with pytest.raises(FlagError, match=message):
        open_prepared("tiny_pets", str(folder / "tfds"), TfdsConfig(**config))


@pytest.mark.parametrize(
    "item", ["1", "1:", "a:0", "1:256", "-1:0", "1:0:2", "65536:0"]
)
def test_a_change_that_is_none_is_refused(item):
    with pytest.raises(FlagError, match=f"--tfds_label_map={item}: as 1:0"):
        TfdsConfig(tfds_label_map=(item,))


def test_an_id_is_changed_once_and_may_be_large():
    config = TfdsConfig(tfds_label_map=("65535:1", "0:255"))
    assert config.changes == {65535: 1, 0: 255}
    with pytest.raises(FlagError, match="--tfds_label_map=1:0,2:1,1:2: old id 1 twice"):
        TfdsConfig(tfds_label_map=("1:0", "2:1", "1:2"))


def test_a_data_set_that_is_not_prepared_says_what_to_run_and_leaves_nothing(tmp_path):
    with pytest.raises(InputError) as error:
        open_prepared("oxford_iiit_pet", str(tmp_path), TfdsConfig())
    assert str(error.value) == (
        f"--dataset=tfds:oxford_iiit_pet: not prepared in {tmp_path}, and nothing is "
        'downloaded here; run: python -c "import tensorflow_datasets as tfds; '
        f"tfds.builder('oxford_iiit_pet', data_dir='{tmp_path}')"
        '.download_and_prepare()"'
    )
    assert not list(tmp_path.iterdir())


def test_a_name_that_is_misspelt_is_told(tmp_path):
    with pytest.raises(InputError, match=r"none of this name; oxford_iiit_pet\?"):
        open_prepared("oxford_iit_pets", str(tmp_path), TfdsConfig())


@pytest.mark.parametrize("split", ["val", "train[:8x]", "train[:80%"])
def test_a_split_that_is_not_there_lists_those_that_are(data, split):
    with pytest.raises(InputError) as error:
        open_split(data, split)
    assert str(error.value).startswith(
        f"tfds:tiny_pets: no split {split}; it has train (12), test (5), and slices"
    )


def test_a_split_without_examples_is_told(data):
    with pytest.raises(InputError, match="split train\\[2:2\\] has no examples"):
        open_split(data, "train[2:2]")


@pytest.fixture
def oxford(tmp_path):
    """Metadata of the real data set, 6 and 3 examples, and `mock_data` for the rest."""
    with tfds.testing.mock_data(policy=tfds.testing.MockPolicy.USE_CODE):
        builder = tfds.builder("oxford_iiit_pet")
    folder = tmp_path / "oxford_iiit_pet" / str(builder.version)
    folder.mkdir(parents=True)
    splits = [
        tfds.core.SplitInfo(
            name=name,
            shard_lengths=[count],
            num_bytes=0,
            filename_template=tfds.core.ShardedFileTemplate(
                data_dir=folder,
                dataset_name="oxford_iiit_pet",
                filetype_suffix="tfrecord",
            ),
        )
        for name, count in (("train", 6), ("test", 3))
    ]
    builder.info.set_splits(tfds.core.splits.SplitDict(splits))
    builder.info.write_to_directory(folder)
    return tmp_path


def test_oxford_iiit_pet_is_known(oxford):
    with tfds.testing.mock_data(num_examples=6, max_value=4, data_dir=oxford):
        data = open_prepared("oxford_iiit_pet", None, TfdsConfig())
        records = open_split(data, "train")
        samples = list(records.in_order())
    assert data.spec.classes == ("background", "pet")
    assert data.features == Features(
        image="image", label="segmentation_mask", name="file_name"
    )
    assert [data.table[i] for i in (1, 2, 3)] == [1, 0, 255]
    assert len(samples) == records.count() == 6
    for sample in samples:
        assert tfrecord.decode_image(sample["image"]).shape[-1] == 3
        assert int(tf.reduce_max(tfrecord.decode_label(sample["label"]))) <= 3
