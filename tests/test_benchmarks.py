"""Benchmarks: each runs as a script, from any folder, and measures this checkout."""

import runpy
import sys
from pathlib import Path

import pytest

from tests.recorded import ROOT

SCRIPTS = {
    path.stem: path
    for path in sorted((ROOT / "benchmarks").glob("*.py"))
    if path.stem != "__init__"
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_benchmark_runs_from_any_folder(name, monkeypatch, tmp_path, capsys):
    """As `python .../benchmarks/NAME.py --help`, where nothing is on the path."""
    for module in [each for each in sys.modules if each.split(".")[0] == "benchmarks"]:
        monkeypatch.delitem(sys.modules, module)
    path = SCRIPTS[name]
    others = [each for each in sys.path if Path(each).resolve() != ROOT]
    monkeypatch.setattr(sys, "path", [str(path.parent), *others])
    monkeypatch.setattr(sys, "argv", [str(path), "--help"])
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(path), run_name="__main__")
    assert ended.value.code in (0, None)
    assert "--" in capsys.readouterr().out
    assert name == "house" or sys.path[0] == str(ROOT)
