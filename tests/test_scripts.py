"""The files that users call, as processes; and the wheel, away from the checkout."""

import configparser
import importlib
import json
import os
import platform
import runpy
import shlex
import subprocess
import sys
import sysconfig
import venv
import zipfile

import pytest
import tensorflow as tf

import deeplab_tf
from deeplab_tf import __main__ as command
from deeplab_tf.config import ModelConfig
from deeplab_tf.models.build import build
from tests import test_own_data
from tests.checkpoints.test_restore import tf1_arrays, write_tf1
from tests.recorded import ROOT
from tests.serving import Server, tar

PACKAGE = ROOT / "deeplab_tf" / "datasets"
SCRIPTS = [
    *("train.py", "eval.py", "vis.py", "export.py"),
    *sorted(p.name for p in PACKAGE.glob("[!_]*.py")),
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
import contextlib, importlib, io, json, runpy, sys
texts, loaded = {}, {}
for script in sys.argv[1:]:
    sys.argv = [script, "--help"]
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        try:
            if script in ("train.py", "eval.py", "vis.py", "export.py"):
                runpy.run_path(script, run_name="__main__")
            importlib.import_module("deeplab_tf.datasets." + script[:-3]).main()
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


@pytest.mark.parametrize("path", SCRIPTS[4:])
def test_builders_are_commands_of_the_package(path):
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    commands = setup["options.entry_points"]["console_scripts"]
    listed = f" = deeplab_tf.datasets.{path.removesuffix('.py')}:main" in commands
    assert listed == path.startswith("build_")


@pytest.mark.parametrize("path", sorted((ROOT / "datasets").glob("*.py")))
def test_official_paths_of_builders_call_the_package(path):
    module = importlib.import_module(f"deeplab_tf.datasets.{path.stem}")
    assert runpy.run_path(str(path), run_name=path.stem)["main"] is module.main


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
        if path.is_file() and path.suffix != ".py" and path.parent.name != "__pycache__"
    }
    assert len(data) > 35
    assert data <= set(names)


@pytest.fixture(scope="module")
def fresh(wheel, tmp_path_factory):
    """Folder of the commands of an environment with the wheel, and what it needs."""
    folder = tmp_path_factory.mktemp("fresh") / "env"
    venv.create(folder, with_pip=False)
    install = ["install", "--no-deps", "--no-index", "--quiet", str(wheel)]
    python, nothing = str(folder / "bin" / "python"), {"PYTHONPATH": ""}
    done = call("-m", "pip", "--python", python, *install, env=nothing)
    assert done.returncode == 0, done.stderr
    # Nothing is downloaded: dependencies are those of this environment, without what
    # its own .pth files name, the checkout.
    (site,) = folder.glob("lib/python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "bin"


@pytest.fixture
def at_home(fresh, tmp_path, monkeypatch):
    """Runs a command line of the wheel's environment in an empty folder."""
    monkeypatch.delenv("PYTHONPATH", raising=False)
    monkeypatch.setenv("PATH", f"{fresh}:{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)

    def run(*command):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        assert "Traceback" not in done.stderr
        return done.stdout

    return run


@pytest.mark.nightly
@pytest.mark.slow
def test_every_command_of_the_wheel_helps(at_home, fresh):
    where = at_home("python", "-c", "import deeplab_tf; print(deeplab_tf.__file__)")
    assert where.startswith(str(fresh.parent))
    assert "deeplab-build-folder" in at_home("python", "-m", "deeplab_tf")
    for name in test_own_data.entry_points():
        assert "--recipe" in at_home(name, "--help")


@pytest.mark.nightly
@pytest.mark.slow
def test_the_chain_of_the_readme_needs_the_wheel_alone(at_home, tmp_path, monkeypatch):
    """Own photographs, from masks to an export; the zoo is on this machine."""
    write_tf1(tmp_path / "zoo" / "model.ckpt", tf1_arrays(build(ModelConfig(), 21)))
    files = [(p.name, p.read_bytes()) for p in (tmp_path / "zoo").iterdir()]
    server = Server()
    server.files[f"/{test_own_data.ARCHIVE}"] = tar("w:gz", *files)
    monkeypatch.setenv("DEEPLAB_TF_ZOO_URL", server.url)
    monkeypatch.setenv("DEEPLAB_TF_CACHE", str(tmp_path / "cache"))
    test_own_data.draw(tmp_path)
    commands = test_own_data.commands(
        ROOT / "README.md", "Your own photographs: fine-tuning"
    )
    try:
        for name, *arguments in commands:
            smaller = shlex.split(test_own_data.SMALLER.get(name, ""))
            at_home(name, *arguments, *smaller)
    finally:
        server.close()
    assert len(commands) == 6
    assert (tmp_path / "records" / "check.html").exists()
    assert (tmp_path / "run" / "model.ckpt-4.index").exists()
    assert (tmp_path / "run" / "eval" / "metrics.json").exists()
    assert len([*(tmp_path / "pictures").rglob("*_overlay.png")]) == 4
    assert (tmp_path / "exported" / "saved_model.pb").exists()
