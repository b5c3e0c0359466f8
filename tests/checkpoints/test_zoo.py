"""The official model zoo, fetched by name from a server on this machine."""

import dataclasses
import hashlib
import json
import re
import threading

import numpy as np
import pytest

import deeplab_tf
from deeplab_tf import download, flags
from deeplab_tf.checkpoints import __main__ as command
from deeplab_tf.checkpoints import infer_config, zoo, zoo_fetch
from deeplab_tf.config import EvalConfig, ModelConfig, TrainConfig
from deeplab_tf.data.specs import voc2012
from deeplab_tf.errors import FlagError, InputError
from deeplab_tf.models.build import build
from deeplab_tf.models.weight_names import weights_by_name
from deeplab_tf.prediction import load
from deeplab_tf.training import setup
from tests.checkpoints.test_restore import tf1_arrays, write_tf1
from tests.recorded import ROOT, SHARED, assign_rule_weights
from tests.serving import Server, tar

NAME = "mobilenetv2_coco_voc_trainaug"
FOLDER = "deeplabv3_mnv2_pascal_train_aug"
ARCHIVE = f"{FOLDER}_2018_01_29.tar.gz"
QUARTER = ModelConfig(depth_multiplier=0.25)


@pytest.fixture
def server():
    server = Server()
    yield server
    server.close()


@pytest.fixture(scope="module")
def network():
    """`QUARTER` for VOC, built once."""
    model = build(QUARTER, 21)
    assign_rule_weights(model, 1.6)
    return model


@pytest.fixture(autouse=True)
def _small_zoo(monkeypatch, tmp_path, server, network):
    """An entry of width 0.25; the cache is a folder of the test."""
    monkeypatch.setattr(zoo_fetch, "build", lambda config, _: network)
    small = dataclasses.replace(zoo.ZOO[NAME], model=QUARTER)
    monkeypatch.setattr(zoo, "ZOO", dict(zoo.ZOO) | {NAME: small})
    monkeypatch.setenv(zoo.MIRROR, server.url)
    monkeypatch.setenv(zoo.CACHE, str(tmp_path / "cache"))
    monkeypatch.setattr(download.time, "sleep", lambda _: None)


@pytest.fixture(scope="module")
def arrays(network):
    """Variables of an official checkpoint of `QUARTER`, with its extras."""
    return tf1_arrays(network)


def packed(folder, arrays, inside=FOLDER):
    """A tar.gz as the official ones are: a folder of a checkpoint and a graph."""
    write_tf1(folder / "model.ckpt-30000", arrays)
    files = {path.name: path.read_bytes() for path in folder.glob("model.ckpt*")}
    files["frozen_inference_graph.pb"] = b"graph"
    return tar("w:gz", *((f"{inside}/{n}", content) for n, content in files.items()))


@pytest.fixture(scope="module")
def archive(arrays, tmp_path_factory):
    return packed(tmp_path_factory.mktemp("official"), arrays)


@pytest.fixture
def cached(tmp_path):
    """Where the network is to be kept."""
    return tmp_path / "cache" / "zoo" / NAME


@pytest.fixture
def served(server, archive):
    server.files[f"/{ARCHIVE}"] = archive
    return server


def note(folder):
    return json.loads((folder / "zoo.json").read_text())


def test_a_network_is_fetched_once_by_its_name(served, cached, archive):
    prefix = zoo_fetch.locate(f"zoo:{NAME}")
    assert prefix == str(cached / "unpacked" / FOLDER / "model.ckpt-30000")
    assert zoo_fetch.locate(f"zoo:{NAME}") == prefix
    assert served.asked == [(f"/{ARCHIVE}", None)]
    assert note(cached)["sha256"] == hashlib.sha256(archive).hexdigest()
    assert sorted(p.name for p in cached.iterdir()) == ["unpacked", "zoo.json"]


def test_other_paths_are_left_as_they_are():
    assert zoo_fetch.locate("run/model.ckpt-7") == "run/model.ckpt-7"


def test_settings_and_classes_come_with_the_name_and_flags_win(served, arrays):
    network = deeplab_tf.load(f"zoo:{NAME}", output_stride=8)
    assert network.spec == voc2012.SPEC
    assert network.config == dataclasses.replace(QUARTER, output_stride=8)
    assert network.predictor.crop_size == (513, 513)
    found = weights_by_name(network.model)
    assert all(np.array_equal(found[name], arrays[name]) for name in found)


@pytest.mark.parametrize(
    ("given", "rates"),
    [
        ({}, (6, 12, 18)),
        ({"output_stride": 8}, (12, 24, 36)),
        ({"output_stride": 16}, (6, 12, 18)),
        ({"output_stride": 8, "atrous_rates": (6, 12, 18)}, (6, 12, 18)),
    ],
)
def test_rates_follow_the_output_stride_unless_given(given, rates):
    model = zoo.ZOO["xception65_coco_voc_trainaug"].model
    settings = zoo.settings_at(model, given)
    assert dataclasses.replace(settings, **given).atrous_rates == rates


def test_commands_take_the_name_as_a_checkpoint(served):
    config = flags.parse(
        EvalConfig,
        ["eval", f"--checkpoint_dir=zoo:{NAME}", "--eval_logdir=e", "--dataset_dir=d"],
    )
    assert [*load.iterate_checkpoints(config.checkpoint_dir, 0, 300)] == [f"zoo:{NAME}"]
    run = load.read_run(config.checkpoint_dir)
    assert (run.model, run.spec) == (QUARTER, voc2012.SPEC)
    assert not served.asked  # What is known needs no network.


def training(tmp_path, *more):
    command_line = [f"--train_logdir={tmp_path}/run", "--dataset_dir=d", *more]
    return flags.parse(TrainConfig, ["train", *command_line])


def test_training_starts_from_the_name(served, tmp_path, arrays, network):
    config = training(
        tmp_path, f"--tf_initial_checkpoint=zoo:{NAME}", "--depth_multiplier=0.25"
    )
    setup.fetch_initial(config, tmp_path / "run")
    assert len(served.asked) == 1
    trainer = dataclasses.make_dataclass("Trainer", ["model", "spec", "ema"])(
        network, voc2012.SPEC, None
    )
    weights = weights_by_name(network)
    for weight in weights.values():
        weight.assign(np.zeros(weight.shape))
    report = setup.initialize(config, trainer)
    assert len(report.restored) == 272  # All that the official network has.
    assert not report.missing
    assert all(np.array_equal(weights[name], arrays[name]) for name in weights)
    assert len(served.asked) == 1


def test_training_of_another_network_fetches_nothing(served, tmp_path):
    config = training(tmp_path, "--tf_initial_checkpoint=zoo:xception_65_imagenet")
    message = "zoo:xception_65_imagenet is of --model_variant=xception_65, not mobile"
    with pytest.raises(FlagError, match=message):
        setup.fetch_initial(config, tmp_path / "run")
    assert not served.asked


def test_a_classifier_is_for_training_alone(server):
    with pytest.raises(InputError, match="an image classifier, to start training from"):
        load.read_run("zoo:xception_65_imagenet")


@pytest.mark.parametrize("known", ["mobilenet_v2_coco_voc_trainaug", "nothing-like-it"])
def test_an_unknown_name_says_where_names_are(known):
    hint = f"did you mean zoo:{NAME}? " if known.startswith("mobile") else ""
    message = f"zoo:{known}: not in the zoo; {hint}python -m deeplab_tf.checkpoints zoo"
    with pytest.raises(FlagError, match=re.escape(message)):
        zoo_fetch.locate(f"zoo:{known}")


# What goes wrong


def test_without_network_one_line_says_what_to_put_where(server, cached):
    with pytest.raises(InputError) as error:
        zoo_fetch.locate(f"zoo:{NAME}")
    url = f"{server.url}/{ARCHIVE}"
    assert str(error.value) == (
        f"zoo:{NAME}: not fetched (Not Found); put {url} into {cached}, and go on with "
        "the same command; or train without it: see docs/own_data.md"
    )
    assert not cached.exists()


def test_what_was_cut_off_goes_on(served, cached, archive):
    cached.mkdir(parents=True)
    (cached / f"{ARCHIVE}.part").write_bytes(archive[:100_000])
    zoo_fetch.locate(f"zoo:{NAME}")
    ((path, asked),) = served.asked
    assert path == f"/{ARCHIVE}"
    assert 0 < int(asked.removeprefix("bytes=").removesuffix("-")) <= 100_000


def test_mirrors_are_asked_one_after_the_other(served, cached, monkeypatch):
    monkeypatch.setenv(zoo.MIRROR, f"{served.url}/none, {served.url}/")
    zoo_fetch.locate(f"zoo:{NAME}")
    assert [path for path, _ in served.asked] == [f"/none/{ARCHIVE}", f"/{ARCHIVE}"]


def test_without_mirrors_google_is_asked(monkeypatch):
    monkeypatch.delenv(zoo.MIRROR)
    assert zoo.ZOO[NAME].urls == (
        f"https://storage.googleapis.com/download.tensorflow.org/models/{ARCHIVE}",
        f"http://download.tensorflow.org/models/{ARCHIVE}",
    )


def test_an_archive_put_there_by_hand_is_taken(server, cached, archive):
    cached.mkdir(parents=True)
    (cached / ARCHIVE).write_bytes(archive)
    assert zoo_fetch.locate(f"zoo:{NAME}").startswith(str(cached / "unpacked"))
    assert (cached / ARCHIVE).exists()
    assert not server.asked


@pytest.mark.parametrize("inside", ["", FOLDER, f"{FOLDER}/deeper"])
def test_what_was_unpacked_by_hand_is_taken_as_it_is(server, cached, arrays, inside):
    write_tf1(cached / inside / "model.ckpt", arrays)
    prefix = zoo_fetch.locate(f"zoo:{NAME}")
    assert prefix == str(cached / inside / "model.ckpt")
    assert zoo_fetch.locate(f"zoo:{NAME}") == prefix
    assert not server.asked


WRONG = {
    "html": (b"<html>log in first</html>", r"a damaged archive \(file could not be"),
    "cut": (None, "a damaged archive"),
    "outside": (tar("w:gz", ("../x", b"x")), "it would write elsewhere"),
    "link": (tar("w:gz", ("model.ckpt.index", "/etc/passwd")), "it would write else"),
    "empty": (tar("w:gz", (f"{FOLDER}/readme.txt", b"x")), "it holds no checkpoint"),
    "garbage": (
        tar("w:gz", ("a.index", b"x"), ("a.data-00000-of-00001", b"x")),
        f"not {NAME}: a damaged checkpoint",
    ),
    "two": (tar("w:gz", ("a/m.index", b"x"), ("b/m.index", b"x")), "checkpoints in a"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_is_not_the_archive_leaves_nothing(served, cached, archive, kind):
    content, message = WRONG[kind]
    served.files[f"/{ARCHIVE}"] = archive[:-5000] if content is None else content
    url = re.escape(f"{served.url}/{ARCHIVE}: ")
    with pytest.raises(InputError, match=f"^{url}{message}") as error:
        zoo_fetch.locate(f"zoo:{NAME}")
    assert "\n" not in str(error.value)
    assert not cached.exists()
    assert not (cached.parents[1] / "x").exists()
    served.files[f"/{ARCHIVE}"] = archive
    zoo_fetch.locate(f"zoo:{NAME}")


def without(name):
    return lambda arrays: {n: v for n, v in arrays.items() if not n.startswith(name)}


def classes(count):
    def change(arrays):
        logits = {
            "logits/semantic/weights": np.zeros((1, 1, 256, count), np.float32),
            "logits/semantic/biases": np.zeros(count, np.float32),
        }
        return arrays | logits

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without("MobilenetV2/expanded_conv_3/expand"), r"lacks 5 weights \(Mobilenet"),
        (classes(19), "it has 19 classes, not 21"),
        (lambda _: {"xception_65/a/weights": np.zeros(1)}, "model_variant is xception"),
        (lambda _: {"other/a/weights": np.zeros(1)}, "of no network that is known"),
    ],
)
@pytest.mark.parametrize("by_hand", [False, True])
def test_another_network_is_refused(
    served, cached, arrays, tmp_path, change, message, by_hand
):
    content = packed(tmp_path / "other", change(arrays))
    served.files[f"/{ARCHIVE}"] = content
    if by_hand:
        cached.mkdir(parents=True)
        (cached / ARCHIVE).write_bytes(content)
    way_out = "remove it, and it is fetched again" if by_hand else "what came is remov"
    with pytest.raises(InputError, match=f"not {NAME}: .*{message}.*; {way_out}"):
        zoo_fetch.locate(f"zoo:{NAME}")
    assert cached.exists() == by_hand


def test_an_archive_that_is_another_than_the_first_is_refused(served, cached, arrays):
    zoo_fetch.locate(f"zoo:{NAME}")
    pinned = note(cached)["sha256"]
    for path in sorted((cached / "unpacked").rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    served.files[f"/{ARCHIVE}"] += b"\0"
    with pytest.raises(InputError, match=f"and was {pinned} at first; .*zoo.json"):
        zoo_fetch.locate(f"zoo:{NAME}")
    (cached / "zoo.json").unlink()
    zoo_fetch.locate(f"zoo:{NAME}")


def test_two_that_fetch_at_a_time_fetch_once(served, archive):
    prefixes = []
    threads = [
        threading.Thread(
            target=lambda: prefixes.append(zoo_fetch.locate(f"zoo:{NAME}"))
        )
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(prefixes) == 3
    assert len(set(prefixes)) == 1
    assert len(served.asked) == 1


def test_a_cache_that_cannot_be_written_is_told(served, tmp_path, monkeypatch):
    (tmp_path / "notes.txt").touch()
    monkeypatch.setenv(zoo.CACHE, str(tmp_path / "notes.txt"))
    with pytest.raises(InputError, match="DEEPLAB_TF_CACHE=FOLDER keeps the zoo"):
        zoo_fetch.locate(f"zoo:{NAME}")


def test_the_cache_lies_below_the_home_folder(monkeypatch, tmp_path):
    monkeypatch.delenv(zoo.CACHE)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert zoo.cache() == tmp_path / ".cache" / "deeplab_tf"


# The table


def test_the_list_tells_scores_and_what_is_cached(served, capsys):
    zoo_fetch.locate(f"zoo:{NAME}")
    assert command.main(["zoo"]) == 0
    text = capsys.readouterr().out
    rows = {line.split()[0]: line.split() for line in text.splitlines()[1:21]}
    assert rows.keys() == zoo.ZOO.keys()
    assert rows[NAME][1:5] == ["23", "yes", "75.32", "val;"]
    assert rows["xception65_coco_voc_trainval"][1:4] == ["439", "no", "87.80"]
    assert "Apache-2.0" in text


def test_settings_are_those_of_the_page_of_official_checkpoints():
    """`docs/official.md` has had them before there were names."""
    rows = re.findall(
        r"^\| (`deeplab.*?) \| (.*?) \|$",
        (ROOT / "docs" / "official.md").read_text(),
        re.MULTILINE,
    )
    by_stem = {}
    for names, options in rows:
        given = re.findall("--[^ `]+", options.split(";")[0])
        first, *others = re.findall("`([^`]+)`", names.split("(")[0])
        stems = [first, *(re.sub("_[^_]+$", other, first) for other in others)]
        by_stem |= {stem: given for stem in stems}
    checked = 0
    for entry in zoo.ZOO.values():
        stem = re.sub(r"_\d{4}_\d\d_\d\d\.tar\.gz$", "", entry.archive)
        if stem not in by_stem or entry.name == NAME:
            continue
        command_line = ["eval", "--checkpoint_dir=c", "--eval_logdir=e", *by_stem[stem]]
        config = flags.parse(EvalConfig, [*command_line, "--dataset_dir=d"])
        wanted = config.model.onto(None)
        cell = wanted.dense_prediction_cell_json.rpartition("/")[2]
        wanted = dataclasses.replace(wanted, dense_prediction_cell_json=cell)
        assert entry.model == wanted, entry.name
        assert entry.spec.name == config.data.dataset or "pascal" in entry.archive
        checked += 1
    assert checked >= 10


@pytest.mark.nightly
@pytest.mark.parametrize(
    "name", [n for n in zoo.ZOO if "xception_41" in n or "v3" in n]
)
def test_settings_are_inferred_from_the_weights_they_make(name):
    """What is verified of an archive agrees with the settings of its name."""
    entry = zoo.ZOO[name]
    shapes = {
        n: tuple(w.shape)
        for n, w in weights_by_name(build(entry.model, entry.num_classes)).items()
    }
    stored = zoo_fetch.CheckpointReader("official", {n: n for n in shapes}, shapes)
    zoo_fetch._check_facts(entry, stored)
    assert infer_config.infer_num_classes(stored) == entry.num_classes


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("name", "folder"),
    [
        (NAME, "mobilenet_v2_voc"),
        ("mobilenetv2_dm05_coco_voc_trainaug", "mobilenet_v2_dm05_voc"),
    ],
)
def test_googles_weights_are_taken_out_of_an_archive(server, monkeypatch, name, folder):
    weights = SHARED / "weights" / folder
    if not weights.is_dir():
        pytest.skip("../shared, with Google's checkpoints, is not on this machine")
    monkeypatch.setattr(zoo_fetch, "build", build)
    official = dataclasses.replace(zoo.ZOO[NAME], model=ModelConfig())
    monkeypatch.setitem(zoo.ZOO, NAME, official)
    entry = zoo.ZOO[name]
    files = [(f"x/{path.name}", path.read_bytes()) for path in weights.iterdir()]
    server.files[f"/{entry.archive}"] = tar("w:gz", *files)
    network = deeplab_tf.load(f"zoo:{name}")
    assert network.spec == voc2012.SPEC
    assert network.predict(np.zeros((65, 65, 3), np.uint8)).classes.shape == (65, 65)
