"""What TensorFlow is known to say while it is loaded, and all else that may come."""

import io
import os
import signal
import subprocess
import sys

import pytest

from deeplab_tf import noise
from tests.recorded import ROOT

KNOWN = [
    b"WARNING: All log messages before absl::InitializeLog() is called are written to "
    b"STDERR\n",
    b"I0000 00:00:1764340000.123456   12345 port.cc:153] oneDNN custom operations are "
    b"on. You may see slightly different numerical results due to floating-point "
    b"round-off errors from different computation orders. To turn them off, set the "
    b"environment variable `TF_ENABLE_ONEDNN_OPTS=0`.\n",
    b"I0000 00:00:1764340000.123456   12345 cpu_feature_guard.cc:227] This TensorFlow "
    b"binary is optimized to use available CPU instructions in performance-critical "
    b"operations.\n",
    b"To enable the following instructions: AVX2 AVX512F FMA, in other operations, "
    b"rebuild TensorFlow with the appropriate compiler flags.\n",
    b"I0000 00:00:1795883487.484440   18418 cudart_stub.cc:31] Could not find cuda "
    b"drivers on your machine, GPU will not be used.\n",
]
OTHERS = [
    b"E0000 00:00:1764340000.123456   12345 cuda_fft.cc:467] Unable to register cuFFT "
    b"factory\n",
    b"ImportError: libcudart.so.12: cannot open shared object file\n",
    b"a thread says: oneDNN custom operations are on\n",
    b"\n",
    b"E0000 00:00:1795883510.794328   18418 cuda_platform.cc:52] failed call to "
    b"cuInit: INTERNAL: CUDA error: Failed call to cuInit: UNKNOWN ERROR (303)\n",
]
MIXED = [line for pair in zip(KNOWN, OTHERS, strict=True) for line in pair]


def passed_on(text):
    target = io.BytesIO()
    noise.pass_on(io.BytesIO(text), target)
    return target.getvalue()


def test_known_lines_are_dropped_and_all_else_passes():
    assert passed_on(b"".join(MIXED) + noise._DROP) == b"".join(OTHERS)
    assert passed_on(b"half a line" + noise._DROP) == b"half a line"


@pytest.mark.parametrize("end", [b"", noise._REPLAY], ids=["killed", "failed"])
def test_all_comes_out_where_nothing_says_that_it_was_loaded(end):
    assert passed_on(b"".join(MIXED) + end) == b"".join(OTHERS + KNOWN)
    assert passed_on(b"half a line" + end) == b"half a line"


def test_the_descriptor_is_what_it_was(capfd):
    before = os.fstat(2)
    with noise.drop_known_lines():
        assert os.fstat(2).st_ino != before.st_ino
        os.write(2, b"".join(MIXED))
    assert os.path.samestat(os.fstat(2), before)
    assert capfd.readouterr().err.encode() == b"".join(OTHERS)
    with pytest.raises(ImportError):
        load_in_vain()
    assert os.path.samestat(os.fstat(2), before)
    assert capfd.readouterr().err.encode() == KNOWN[0]


def load_in_vain():
    with noise.drop_known_lines():
        os.write(2, KNOWN[0])
        raise ImportError


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_nothing_is_lost_when_the_process_dies(number):
    code = f"""
import os
from deeplab_tf import noise
with noise.drop_known_lines():
    os.write(2, {b"".join(MIXED)!r})
    os.kill(os.getpid(), {int(number)})
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True)
    assert done.returncode == -number
    assert done.stderr == b"".join(OTHERS + KNOWN)


def test_whoever_wants_the_lines_has_them(monkeypatch):
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "0")
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    monkeypatch.setattr(noise, "drop_known_lines", None)  # It is not called.
    noise.load_tensorflow()


@pytest.mark.nightly
def test_a_command_says_nothing_of_tensorflow():
    shown = {}
    for level in (None, "0"):
        env = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}
        env |= {"TF_CPP_MIN_LOG_LEVEL": level} if level else {}
        done = subprocess.run(
            [sys.executable, "-m", "deeplab_tf", "--version"],
            cwd=ROOT,
            env=env,
            capture_output=True,
            check=True,
        )
        shown[level] = done.stderr
    assert shown[None] == b""
    lines = shown["0"].splitlines()
    assert lines
    assert all(noise._KNOWN.fullmatch(line) for line in lines)
