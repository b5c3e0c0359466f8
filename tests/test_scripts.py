"""The files that users call, as processes; and the wheel, away from the checkout."""

import os
import re
import subprocess
import sys
import zipfile

import pytest

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


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS)
def test_help_is_printed(script):
    done = call(script, "--help")
    assert done.returncode == 0, done.stderr
    assert "--output_dir" in done.stdout or "--model_variant" in done.stdout
    assert "Traceback" not in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS[:4])
def test_help_does_not_load_tensorflow(script):
    done = call("-X", "importtime", script, "--help")
    assert "absl.flags" in done.stderr
    assert not re.search(r"\| +(tensorflow|keras|numpy)$", done.stderr, re.MULTILINE)


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


@pytest.mark.slow
def test_the_wheel_holds_the_package_alone(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names if "dist-info" not in name} == {
        "deeplab_tf"
    }
    assert "deeplab_tf/exporting/picture.jpg" in names
    assert "deeplab_tf/py.typed" in names


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
