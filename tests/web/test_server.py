"""The command: its help, its socket, its model, and its end."""

import asyncio
import importlib.util
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time

import httpx
import numpy as np
import pytest

import deeplab_tf
from deeplab_tf.config import WebConfig
from deeplab_tf.crf.engines import PRESETS
from deeplab_tf.data.specs import shapes
from deeplab_tf.errors import FlagError, InputError
from deeplab_tf.prediction.predictions import Prediction
from deeplab_tf.web import __main__ as command
from tests.recorded import ROOT
from tests.web.serving import encode, halves

pytest.importorskip("starlette", reason="the extra [web] is not installed")

from deeplab_tf.web import model as models
from deeplab_tf.web import server
from deeplab_tf.web.refusal import Refusal


def test_help_names_the_flags_of_the_page(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["deeplab-web", "--help"])
    with pytest.raises(SystemExit) as end:
        command.main()
    assert not end.value.code
    text = capsys.readouterr().out
    for flag in ("model", "host", "port", "token", "queue", "max_megapixels", "recipe"):
        assert f"--{flag}  " in text


@pytest.mark.slow
def test_help_loads_neither_tensorflow_nor_the_server():
    code = (
        "import sys; from deeplab_tf.web import __main__ as web\n"
        "sys.argv = ['deeplab-web', '--help']\n"
        "try: web.main()\n"
        "except SystemExit: pass\n"
        "assert not {'tensorflow', 'keras', 'numpy', 'starlette'} & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_missing_package_is_told_with_the_extra(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name: None if name == "uvicorn" else find(name),
    )
    with pytest.raises(InputError) as error:
        command.run(WebConfig(model="run"))
    assert str(error.value) == (
        "deeplab-web needs uvicorn: pip install 'deeplab-tf[web]'"
    )


def test_a_port_that_is_taken_is_told():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InputError) as error:
            server.listen("127.0.0.1", port)
    assert str(error.value) == (
        f"--port={port}: another program listens there; take another, or --port=0 for "
        "any that is free"
    )


@pytest.mark.parametrize(
    ("host", "line"),
    [
        ("no such host", "--host=no such host: no address of that name"),
        ("192.0.2.1", "--host=192.0.2.1: not an address of this machine"),
    ],
)
def test_an_address_that_is_none_is_told(host, line):
    with pytest.raises(InputError, match=f"^{line}$"):
        server.listen(host, 0)


@pytest.mark.parametrize("token", ["short", "ä" * 20, "a" * 20 + "\n"])
def test_a_token_that_is_weak_or_no_word_is_refused(token):
    with pytest.raises(FlagError, match=r"^--token: ") as error:
        WebConfig(model="run", token=token)
    assert token not in str(error.value)


@pytest.fixture
def served(monkeypatch, caplog):
    """Token and port of what `serve` would run, and what it says; nothing is run."""
    made = {}

    class Server:
        def run(self, sockets):
            made["address"] = sockets[0].getsockname()
            raise KeyboardInterrupt

    def create_app(model, config, *, token, port):
        made["token"] = token
        return None

    class Model:
        name, classes = "colors", ("one", "two")

    monkeypatch.setattr(server, "open_model", lambda config: Model())
    monkeypatch.setattr(server, "create_app", create_app)
    monkeypatch.setattr(server, "new_server", lambda app: Server())
    caplog.set_level("INFO")

    def serve(**settings):
        caplog.clear()
        server.serve(WebConfig(model="run", port=0, **settings))
        return made["token"], made["address"], caplog.messages

    return serve


def test_this_machine_alone_needs_no_token(served):
    token, (host, port), said = served()
    assert (token, host) == (None, "127.0.0.1")
    assert f"http://127.0.0.1:{port}/" in said
    assert said[-1] == "Stopped"  # Ctrl-C.


def test_elsewhere_a_token_is_made_and_stands_in_the_address(served):
    tokens = set()
    for _ in range(2):
        token, (host, port), said = served(host="0.0.0.0")
        assert host == "0.0.0.0"
        assert len(token) >= 20
        assert f"http://127.0.0.1:{port}/?token={token}" in said
        assert any("not encrypted" in line for line in said)
        tokens.add(token)
    assert len(tokens) == 2


def test_a_token_that_is_given_is_taken_and_not_printed(served):
    given = "correct horse battery staple"
    token, _, said = served(host="0.0.0.0", token=given)
    assert token == given
    assert given not in "\n".join(said)
    assert served(token=given)[0] == given


def test_the_model_is_that_of_python_with_the_settings_given(run):
    config = WebConfig(model=str(run), num_classes=6, crop_size=(33, 33))
    model = models.open_model(config)
    assert model.classes == tuple(f"class_{i}" for i in range(6))
    assert model.predictor.crop_size == (33, 33)
    network = deeplab_tf.Network(model.predictor)
    pixels = np.random.default_rng(0).integers(0, 256, (50, 70, 3)).astype(np.uint8)
    expected = network.predict(pixels).classes
    classes, seen = models.segment(model, pixels, models.Look(), max_side=1000)
    np.testing.assert_array_equal(classes, expected)
    assert seen == (50, 70)


@pytest.mark.parametrize(
    ("look", "settings"),
    [
        (models.Look(), {"scales": (1.0,), "flip": False, "crf": None}),
        (
            models.Look(scales=(0.75, 1.0), flip=True, crf=True),
            {"scales": (0.75, 1.0), "flip": True, "crf": PRESETS["voc_v1"]},
        ),
    ],
)
def test_a_look_is_what_the_network_is_asked_for(look, settings):
    class Predictor:
        spec, trained_size = shapes.SPEC, (300, 400)

        def predict(self, image, **given):
            assert given == settings | {"output": "classes"}
            return Prediction(image=image, classes=image[..., 0].astype(np.int32))

    model = models.NetworkModel(Predictor(), PRESETS["voc_v1"])
    assert model.predict(halves(), look)[0, 0] == 220
    assert model.trained_side == 400


@pytest.fixture
def export(tmp_path):
    """An ONNX file that knows red from the rest; `describe` writes what lies beside."""
    onnx = pytest.importorskip("onnx", reason="the extra [onnx] is not installed")
    pytest.importorskip("onnxruntime", reason="the extra [onnx] is not installed")
    kinds, make = onnx.TensorProto, onnx.helper
    shape = ["N", "H", "W"]
    # Scores of the two classes: 128 - red, and red - 128.
    weights = np.array([[-1, 1], [0, 0], [0, 0]], np.float32)
    graph = make.make_graph(
        [
            make.make_node("Cast", ["ImageTensor"], ["pixels"], to=kinds.FLOAT),
            make.make_node("MatMul", ["pixels", "weights"], ["scores"]),
            make.make_node("Add", ["scores", "bias"], ["Logits"]),
            make.make_node("ArgMax", ["Logits"], ["ids"], axis=3, keepdims=0),
            make.make_node("Cast", ["ids"], ["SemanticPredictions"], to=kinds.INT32),
        ],
        "red",
        [make.make_tensor_value_info("ImageTensor", kinds.UINT8, [*shape, 3])],
        [
            make.make_tensor_value_info("SemanticPredictions", kinds.INT32, shape),
            make.make_tensor_value_info("Logits", kinds.FLOAT, [*shape, 2]),
        ],
        [
            onnx.numpy_helper.from_array(weights, "weights"),
            onnx.numpy_helper.from_array(np.array([128, -128], np.float32), "bias"),
        ],
    )
    opset = [make.make_opsetid("", 17)]
    path = tmp_path / "red.onnx"
    onnx.save(make.make_model(graph, opset_imports=opset, ir_version=8), path)

    def describe(**facts):
        facts = {"classes": ["rest", "red"], "colors": [[0, 0, 0], [200, 0, 0]]} | facts
        (tmp_path / "red.onnx.json").write_text(json.dumps(facts))
        return path

    return describe


def test_an_exported_model_looks_in_its_own_runtime(export):
    path = export(outputs=["classes", "logits"])
    model = models.open_model(WebConfig(model=str(path)))
    assert (model.name, model.classes) == ("red.onnx", ("rest", "red"))
    assert model.looks == ("crf",)
    expected = np.repeat([[1] * 15 + [0] * 15], 20, axis=0)
    for look in (models.Look(), models.Look(crf=True)):
        np.testing.assert_array_equal(model.predict(halves(), look), expected)
    with pytest.raises(Refusal, match="flip: this model cannot do that"):
        models.check_look(model, models.Look(flip=True))


def test_an_export_that_does_not_tell_its_classes_is_told(export):
    path = export(classes=[], colors=[])
    with pytest.raises(InputError, match="does not tell its classes; deeplab-export"):
        models.open_model(WebConfig(model=str(path)))


def test_a_setting_of_the_network_beside_an_export_is_told(export):
    with pytest.raises(FlagError, match=r"^--crop_size: an exported model has its own"):
        models.open_model(WebConfig(model=str(export()), crop_size=(65, 65)))


def test_an_export_that_cannot_be_opened_is_told(tmp_path):
    pytest.importorskip("onnxruntime", reason="the extra [onnx] is not installed")
    (tmp_path / "no.onnx").write_text("text")
    line = rf"^--model={tmp_path}/no.onnx: onnxruntime cannot open it \("
    with pytest.raises(InputError, match=line):
        models.open_model(WebConfig(model=str(tmp_path / "no.onnx")))


def test_a_crf_that_nobody_has_published_is_told(run):
    with pytest.raises(InputError, match=r"^--crf=mine: one of voc_v1, "):
        models.open_model(WebConfig(model=str(run), crf="mine"))


def memory_of(process):
    """Megabytes that a process has in memory."""
    with open(f"/proc/{process.pid}/status") as status:
        return int(re.search(r"VmRSS:\s+(\d+)", status.read())[1]) / 1024


@pytest.mark.nightly
@pytest.mark.slow
def test_50_at_once_leave_the_server_alive_and_its_memory_flat(run, tmp_path):
    """And Ctrl-C ends it with one line."""
    said = tmp_path / "said.txt"
    line = ["-m", "deeplab_tf.web", f"--model={run}", "--port=0"]
    environment = os.environ | {"TMPDIR": str(tmp_path / "temporary")}
    (tmp_path / "temporary").mkdir()
    with said.open("w") as log:
        process = subprocess.Popen(
            [sys.executable, *line], stderr=log, cwd=ROOT, env=environment
        )
    try:
        end = time.monotonic() + 120
        while "Ctrl-C" not in said.read_text():
            assert time.monotonic() < end, said.read_text()
            time.sleep(0.1)
        (url,) = re.findall("http://127.0.0.1:[0-9]+/", said.read_text())
        noise = np.random.default_rng(0).integers(0, 256, (600, 800, 3))
        large = encode(noise.astype(np.uint8), "JPEG")

        async def send(data):
            async with httpx.AsyncClient(base_url=url, timeout=300) as client:
                sent = [
                    client.post("segment", files={"photograph": ("a.jpg", data)})
                    for _ in range(50)
                ]
                return [each.status_code for each in await asyncio.gather(*sent)]

        files = set((tmp_path / "temporary").iterdir())  # TensorFlow's.
        memory = []
        for _ in range(3):
            statuses = asyncio.run(send(large))
            assert set(statuses) == {200, 503}
            assert statuses.count(200) >= 20
            memory.append(memory_of(process))
        print("MB after 50 at once, three times:", memory)
        assert memory[2] < 1.05 * memory[0]
        assert asyncio.run(send(encode(halves()))).count(200) >= 20
        assert set((tmp_path / "temporary").iterdir()) <= files
        assert process.poll() is None
    finally:
        process.send_signal(signal.SIGINT)
        code = process.wait(60)
    lines = said.read_text().splitlines()
    assert (code, lines[-1]) == (0, "Stopped")
    assert lines[-2] == "Ctrl-C ends it"
