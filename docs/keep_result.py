"""Keeps what a run wrote for the pages, with the command, revision and machine.

    python docs/keep_result.py --name=voc/stride16 --measured=eval/metrics.json \
      --command="python eval.py ..."

writes results/NAME.json, which make_results.py reads.
"""

import csv
import dataclasses
import json
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

from deeplab_tf import cli
from deeplab_tf.config.fields import flag, require_given
from deeplab_tf.errors import InputError
from deeplab_tf.text_files import read_lines, read_text

RESULTS = Path(__file__).with_name("results")


@dataclasses.dataclass(frozen=True, kw_only=True)
class KeepConfig:
    """Keeps what a run wrote, with the command, revision and machine."""

    name: str | None = flag("Folder and name in docs/results.", None, required=True)
    measured: str | None = flag(
        "JSON, JSON lines or compare.csv of the run.", None, required=True
    )
    command: str | None = flag("What was typed.", None, required=True)
    revision: str = flag("Commit that ran; by default the one checked out.", "")
    machine: str = flag("That it ran on; by default this one.", "")
    remark: str = flag("What else is to be known, as other work of the machine.", "")

    def __post_init__(self) -> None:
        require_given(self)


def keep(config: KeepConfig) -> None:
    """Writes the result.

    Raises:
        InputError: The file of the run cannot be read, or the commit is not known.
    """
    facts = {
        "command": config.command,
        "revision": config.revision or _revision(),
        "machine": config.machine or _machine(),
        **({"remark": config.remark} if config.remark else {}),
    }
    path = RESULTS / f"{config.name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(_to_text(facts, _read(Path(config.measured or ""))))


def _read(path: Path) -> Any:
    """Of a table of comparisons, the rows of means and classes."""
    if path.suffix == ".csv":
        rows = csv.DictReader(read_text(path).splitlines())
        return [
            {name: _number(cell) for name, cell in row.items()}
            for row in rows
            if row.get("kind") != "image"
        ]
    try:
        if path.suffix == ".jsonl":
            return [json.loads(line) for line in read_lines(path)]
        return json.loads(read_text(path))
    except ValueError as error:
        raise InputError(f"{path}: no JSON ({error})") from None


def _number(cell: str) -> float | str | None:
    try:
        return float(cell) if cell else None
    except ValueError:
        return cell


def _to_text(facts: dict[str, str], measured: Any) -> str:
    """JSON, a row a line where there are rows."""
    parts = [f" {json.dumps(name)}: {json.dumps(fact)}" for name, fact in facts.items()]
    if isinstance(measured, list):
        rows = ",\n".join(f"  {json.dumps(row)}" for row in measured)
        parts.append(f' "measured": [\n{rows}\n ]')
    else:
        whole = json.dumps(measured, indent=1).replace("\n", "\n ")
        parts.append(f' "measured": {whole}')
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _revision() -> str:
    """The commit of this checkout."""
    if _git("status", "--porcelain", "--untracked-files=no"):
        raise InputError("the checkout has changes: commit them, or give --revision")
    return _git("rev-parse", "HEAD")


def _git(*words: str) -> str:
    command = ["git", *words]
    told = subprocess.run(
        command, check=False, capture_output=True, text=True, cwd=RESULTS.parent
    )
    if told.returncode:
        raise InputError(f"{' '.join(command)}: {told.stderr.strip()}; give --revision")
    return told.stdout.strip()


def _machine() -> str:
    """Cores and processor."""
    cpuinfo = Path("/proc/cpuinfo")  # Of Linux.
    names = [
        line.partition(":")[2].strip()
        for line in (cpuinfo.read_text() if cpuinfo.exists() else "").splitlines()
        if line.startswith("model name")
    ]
    return f"{os.cpu_count()} cores, {names[0] if names else platform.processor()}"


if __name__ == "__main__":
    cli.run(KeepConfig, keep)
