"""Whether records mean what a network has learned."""

import dataclasses

import pytest

from deeplab_tf.data import spec_compatibility
from deeplab_tf.data.spec import DatasetSpec, distinct_colors
from deeplab_tf.errors import InputError

CAMVID = DatasetSpec(
    name="mine", classes=("road", "car", "sky"), palette=distinct_colors(3)
)


def other(**changes):
    return dataclasses.replace(CAMVID, name="yours", **changes)


def check(found, *, renamed=False, trained=CAMVID):
    spec_compatibility.check_same_classes(
        trained,
        found,
        subject="run was trained on",
        way_out="go home",
        renamed=renamed,
    )


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"palette": distinct_colors(4)[1:]},
        {"ignore_label": 254},  # No class: what it marks is of the records.
        {"split_sizes": {"train": 5}},
    ],
)
def test_what_is_no_matter_of_meaning_may_differ(changes):
    check(other(**changes))


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (
            ("road", "sky", "car"),
            'class 1 is "car" there, "sky" here, in another order; build the records '
            "in that one, or go home",
        ),
        (
            ("street", "car", "heaven"),
            'class 0 is "road" there, "street" here, and so 2; if all mean the same, '
            "--classes_renamed, or go home",
        ),
    ],
)
def test_other_names_and_another_order_are_told(classes, message):
    with pytest.raises(InputError) as error:
        check(other(classes=classes))
    assert str(error.value) == (
        f"run was trained on mine (3 classes), not on yours (3 classes): {message}"
    )


def test_data_sets_of_one_name_are_told_apart_by_the_folder():
    found = dataclasses.replace(
        CAMVID, classes=("road", "car"), palette=distinct_colors(2)
    )
    with pytest.raises(InputError) as error:
        spec_compatibility.check_same_classes(
            CAMVID, found, subject="run was trained on", folder="records"
        )
    assert str(error.value) == (
        "run was trained on mine (3 classes), not on that in records (2 classes): "
        "their numbers differ; take the records of the training, or train anew"
    )


def test_other_names_are_taken_where_they_mean_the_same():
    check(other(classes=("street", "car", "heaven")), renamed=True)


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (("road", "sky", "car"), 'class 1 is "car" there, "sky" here, in another ord'),
        (("road", "sky", "cloud"), 'class 1 is "car" there, "sky" here, in another'),
        (("street", "tree", "car"), 'class 1 is "car" there, "tree" here, in another'),
        (("street", "car", "road"), 'class 0 is "road" there, "street" here, in ano'),
    ],
)
def test_a_name_at_another_id_is_no_other_name(classes, message):
    for renamed in (False, True):
        with pytest.raises(InputError, match=message):
            check(other(classes=classes), renamed=renamed)


def test_names_are_not_blamed_for_an_ignored_class():
    found = other(classes=("street", "car", "sky"), ignore_label=0)
    for renamed in (False, True):
        with pytest.raises(InputError, match=r"no class is ignored there.*, or go"):
            check(found, renamed=renamed)


def test_who_has_another_remedy_tells_it():
    with pytest.raises(InputError) as error:
        spec_compatibility.check_same_classes(
            CAMVID,
            other(classes=("street", "car", "sky")),
            subject="it was trained on",
            remedy="take another",
        )
    assert str(error.value).endswith("here, and so 1; take another")


def test_another_number_is_told_whatever_was_renamed():
    fewer = other(classes=("road", "car"), palette=distinct_colors(2))
    with pytest.raises(InputError, match=r"mine \(3 classes\), not on yours \(2 cl"):
        check(fewer, renamed=True)


@pytest.mark.parametrize(("before", "now"), [(255, 0), (0, 255), (0, 1)])
def test_a_class_that_was_ignored_was_not_learned(before, now):
    trained = dataclasses.replace(CAMVID, ignore_label=before)
    named = {255: "no class", 0: "class 0", 1: "class 1"}
    with pytest.raises(InputError) as error:
        check(other(ignore_label=now), renamed=True, trained=trained)
    assert f"{named[before]} is ignored there, {named[now]} here" in str(error.value)
    assert f"--ignore_label={before}" in str(error.value)
