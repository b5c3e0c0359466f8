"""The files that users call, as processes; and the wheel, away from the checkout."""

import json
import os
import platform
import subprocess
import sys
import zipfile

import pytest
import tensorflow as tf

import deeplab_tf
from deeplab_tf import __main__ as command
from tests.recorded import ROOT

SCRIPTS = [
    *("train.py", "eval.py", "vis.py", "export.py"),
    *sorted(f"datasets/{p.name}" for p in (ROOT / "datasets").glob("*.py")),
]


def call(*command, **options):
    environment = os.environ | options.pop("env", {})
    return subprocess.run(
        [sys.executable, *command],
        capture_output=True,
        text=True,
        env=environment,
        **({"cwd": ROOT} | options),
    )


HELP = """
import contextlib, io, json, runpy, sys
texts, loaded = {}, {}
for script in sys.argv[1:]:
    sys.argv = [script, "--help"]
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        try:
            runpy.run_path(script, run_name="__main__")
        except SystemExit as end:
            assert not end.code, (script, end.code)
    texts[script] = out.getvalue()
    loaded[script] = sorted({"tensorflow", "keras", "numpy"} & set(sys.modules))
print(json.dumps([texts, loaded]))
"""


@pytest.fixture(scope="module")
def helps():
    """What each script prints for `--help`, and has loaded by then; in one process."""
    done = call("-c", HELP, *SCRIPTS)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return json.loads(done.stdout)


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_is_printed(script, helps):
    text = helps[0][script]
    assert "--output_dir" in text or "--model_variant" in text
    assert "--recipe" in text


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_does_not_load_tensorflow(script, helps):
    """Nor NumPy, of the four commands; builders import it with what they build."""
    loaded = set(helps[1][script])
    assert not loaded & {"tensorflow", "keras"}
    assert script in SCRIPTS[4:] or not loaded


def test_the_package_lists_its_commands_and_versions(capsys):
    assert command.main([]) == 0
    text = capsys.readouterr().out
    assert "python train.py, deeplab-train " in text
    assert "python -m deeplab_tf.checkpoints " in text
    assert command.main(["--version"]) == 0
    lines = dict(line.split(": ", 1) for line in capsys.readouterr().out.splitlines())
    assert lines["deeplab_tf"].split()[0] == deeplab_tf.__version__
    assert lines["python"] == platform.python_version()
    assert lines["tensorflow"] == tf.__version__
    assert "CPU:0" in lines["devices"]


def test_the_package_can_be_called():
    done = call("-m", "deeplab_tf")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("usage: python -m deeplab_tf [-h] [--version]")
    assert done.stderr == ""


@pytest.mark.slow
def test_a_mistake_ends_a_process_with_one_line_and_its_code(tmp_path):
    done = call("train.py", f"--train_logdir={tmp_path}/run", "--dataset_dir=nowhere")
    assert done.returncode == 1
    assert (
        done.stderr.splitlines()[-1] == "ERROR: --dataset_dir=nowhere: no such folder"
    )
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    done = call("-m", "pip", "wheel", "--no-deps", "--quiet", "-w", str(folder), ".")
    assert done.returncode == 0, done.stderr
    (path,) = folder.glob("*.whl")
    return path


@pytest.mark.nightly
@pytest.mark.slow
def test_the_wheel_holds_the_package_alone(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names if "dist-info" not in name} == {
        "deeplab_tf"
    }
    assert "deeplab_tf/exporting/picture.jpg" in names
    assert "deeplab_tf/py.typed" in names
    # All data that the code reads lies beside it, and comes along.
    data = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "deeplab_tf").rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc")
    }
    assert len(data) > 35
    assert data <= set(names)


@pytest.mark.nightly
@pytest.mark.slow
def test_the_wheel_trains_and_exports_outside_the_checkout(wheel, tmp_path, shapes):
    site = tmp_path / "site"
    done = call("-m", "pip", "install", "--no-deps", "-q", "--target", site, str(wheel))
    assert done.returncode == 0, done.stderr
    console = {name: site / "bin" / f"deeplab-{name}" for name in ("train", "export")}
    options = {"cwd": tmp_path, "env": {"PYTHONPATH": str(site)}}
    where = call("-c", "import deeplab_tf; print(deeplab_tf.__file__)", **options)
    assert where.stdout.startswith(str(site))
    done = call(
        console["train"],
        "--recipe=shapes",
        f"--dataset_dir={shapes}",
        "--train_logdir=run",
        "--depth_multiplier=0.25",
        "--train_crop_size=33",
        "--train_batch_size=2",
        "--training_number_of_steps=2",
        **options,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / "model.ckpt-2.index").exists()
    done = call(
        console["export"], "--checkpoint_path=run", "--export_path=model", **options
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "model" / "saved_model.pb").exists()
