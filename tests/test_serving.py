"""Requests of the clients in serving/, read as a server does, get the right classes."""

import base64
import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.request

import numpy as np
import pytest
import tensorflow as tf

from deeplab_tf.exporting import run as exporting
from deeplab_tf.prediction import load
from tests.exporting.test_run import config
from tests.recorded import ROOT

SERVING = ROOT / "serving"


def load_script(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def client():
    return load_script(SERVING / "tensorflow_serving" / "client.py")


@pytest.fixture(scope="module")
def kserve():
    return load_script(SERVING / "kserve" / "client.py")


@pytest.fixture(scope="module")
def signatures(exported):
    return tf.saved_model.load(str(exported)).signatures


@pytest.fixture
def files(client, tmp_path, rng):
    """Of two sizes, one of them of a camera that was turned."""
    from PIL import Image

    paths = [tmp_path / "flat.png", tmp_path / "turned.png"]
    exif = Image.Exif()
    for path, orientation in zip(paths, (1, 6), strict=True):
        exif[0x0112] = orientation
        pixels = rng.integers(0, 256, (40, 70, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(path, exif=exif)
    return [client.upright(path) for path in paths]


def expected(signatures, files):
    serve = signatures["serving_bytes"]
    return [serve(tf.constant([f]))["SemanticPredictions"][0].numpy() for f in files]


def check(answers, signatures, files):
    assert [answer.shape for answer in answers] == [(40, 70), (70, 40)]
    for answer, right in zip(answers, expected(signatures, files), strict=True):
        np.testing.assert_array_equal(answer, right)


def test_a_rest_request_names_a_signature_and_its_input(client, signatures, files):
    request = json.loads(json.dumps(client.rest_request(files)))
    signature = signatures[request["signature_name"]]
    given = {
        name: tf.constant([base64.b64decode(value["b64"]) for value in values])
        for name, values in request["inputs"].items()
    }
    outputs = signature(**given)
    answer = {name: np.array(value.numpy().tolist()) for name, value in outputs.items()}
    check(client.crop(answer), signatures, files)


def test_a_grpc_request_names_a_signature_and_its_input(client, signatures, files):
    pytest.importorskip("tensorflow_serving.apis", reason="no tensorflow-serving-api")
    request = client.grpc_request(files)
    read = type(request).FromString(request.SerializeToString())
    given = {name: tf.make_ndarray(read.inputs[name]) for name in read.inputs}
    signature = signatures[read.model_spec.signature_name]
    outputs = signature(**{name: tf.constant(each) for name, each in given.items()})
    answer = {name: value.numpy() for name, value in outputs.items()}
    check(client.crop(answer), signatures, files)


def test_the_configuration_of_tensorflow_serving_can_be_read(client):
    pytest.importorskip("tensorflow_serving.apis", reason="no tensorflow-serving-api")
    from google.protobuf import text_format
    from tensorflow_serving.config import model_server_config_pb2

    text = (SERVING / "tensorflow_serving" / "models.config").read_text()
    message = model_server_config_pb2.ModelServerConfig()
    (model,) = text_format.Parse(text, message).model_config_list.config
    assert model.name == client.MODEL
    assert model.base_path == f"/models/{client.MODEL}"


@pytest.mark.parametrize("binary", [True, False])
def test_a_request_of_kserve_holds_the_pixels(kserve, rng, binary):
    pixels = rng.integers(0, 256, (2, 5, 7, 3)).astype(np.uint8)
    body, headers = kserve.request(pixels, binary=binary)
    length = int(headers.get("Inference-Header-Content-Length", len(body)))
    (tensor,) = json.loads(body[:length])["inputs"]
    assert (tensor["name"], tensor["datatype"]) == ("ImageTensor", "UINT8")
    sent = body[length:] if binary else bytes(tensor["data"])
    read = np.frombuffer(sent, np.uint8).reshape(tensor["shape"])
    np.testing.assert_array_equal(read, pixels)


def test_an_answer_of_kserve_is_read_as_numbers_and_as_bytes(kserve):
    classes = np.arange(24, dtype=np.int32).reshape(2, 3, 4)
    output = {"name": "SemanticPredictions", "datatype": "INT32", "shape": [2, 3, 4]}
    head = json.dumps({"outputs": [output]}).encode()
    raw = kserve.response(head + classes.tobytes(), str(len(head)))
    output["data"] = classes.ravel().tolist()
    numbers = kserve.response(json.dumps({"outputs": [output]}).encode(), None)
    np.testing.assert_array_equal(raw, classes)
    np.testing.assert_array_equal(numbers, classes)


@pytest.mark.parametrize("name", ["segmentation_onnx", "segmentation_saved_model"])
def test_configurations_of_triton_can_be_read(name, signatures):
    pytest.importorskip("tritonclient.grpc", reason="no tritonclient[grpc]")
    from google.protobuf import text_format
    from tritonclient.grpc import model_config_pb2

    text = (SERVING / "triton" / "repository" / name / "config.pbtxt").read_text()
    model = text_format.Parse(text, model_config_pb2.ModelConfig())
    assert model.name == name
    if "TF_SIGNATURE_DEF" in model.parameters:
        signature = signatures[model.parameters["TF_SIGNATURE_DEF"].string_value]
        outputs = [output.name for output in model.output]
        assert outputs == list(signature.structured_outputs)


TRITON = "DEEPLAB_TRITON_PYTHON"  # Of an environment with nvidia-pytriton.


@pytest.fixture
def triton(v3plus_run, tmp_path):
    """A live server of an ONNX file; its address."""
    if TRITON not in os.environ:
        pytest.skip(f"{TRITON} names no Python with nvidia-pytriton and onnxruntime")
    model = tmp_path / "model.onnx"
    exporting.export(config(v3plus_run, model, outputs=("classes",)))
    for source in (SERVING / "triton" / "server.py", ROOT / "deeplab_tf/runtime.py"):
        shutil.copy(source, tmp_path)
    ports = [free_port(), free_port()]
    command = [os.environ[TRITON], "server.py", str(model)]
    command += [f"--http_port={ports[0]}", f"--grpc_port={ports[1]}"]
    log = (tmp_path / "log").open("w")
    server = subprocess.Popen(
        command, cwd=tmp_path, stdout=log, stderr=log, start_new_session=True
    )
    url = f"http://127.0.0.1:{ports[0]}/v2/models/segmentation"
    try:
        wait_for(f"{url}/ready", server, tmp_path / "log")
        yield url
    finally:
        os.killpg(server.pid, signal.SIGTERM)  # Triton outlives its parent.
        try:
            server.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()
        log.close()


def free_port():
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        return place.getsockname()[1]


def wait_for(url, server, log):
    for _ in range(240):
        try:
            urllib.request.urlopen(url).close()
        except OSError:
            assert server.poll() is None, log.read_text()
            time.sleep(0.5)
        else:
            return
    raise AssertionError(log.read_text())


@pytest.mark.nightly
def test_a_live_triton_gives_the_classes_of_the_network(
    triton, v3plus_run, kserve, rng
):
    pixels = rng.integers(0, 256, (2, 70, 90, 3)).astype(np.uint8)
    expected = load.load(str(v3plus_run)).predict_batch(pixels).classes.numpy()
    for binary in (True, False):
        classes = kserve.infer(triton, pixels, binary=binary)
        assert np.mean(classes == expected) > 0.999
