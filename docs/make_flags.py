"""Writes flags.md: every flag of every command, by the tables that make the flags.

python docs/make_flags.py
"""

import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from deeplab_tf import commands, flag_help
from deeplab_tf.config import (
    EvalConfig,
    ExportConfig,
    PredictConfig,
    TrainConfig,
    VisConfig,
    WebConfig,
    effects,
)
from deeplab_tf.config.official import OFFICIAL
from deeplab_tf.dataset_report.__main__ import CheckConfig
from deeplab_tf.evaluation.__main__ import CompareConfig
from deeplab_tf.models.__main__ import ListConfig
from deeplab_tf.runs.__main__ import RunsConfig

PAGE = Path(__file__).with_name("flags.md")
_ROOT = Path(__file__).parents[1]
_INTRODUCTION = """# Flags

Every flag of every command, as `--helpfull` has them, by topic. Names in *italics* are
of research/deeplab. A value outside of "values" is refused with one line; what stands
in brackets is the default.

A flag that has effect in some company only says so. Given elsewhere, with another value
than its default, it is told in one line that names the flag to leave out: an error
where it was given by hand, a warning where it came from a flagfile or a recipe, or is
one of research/deeplab. `--validate_flags=warn` makes warnings of the errors. Settings
of a run, in its `config.json`, are not judged.

`--flagfile=FILE` and `--recipe=NAME` read flags from a file, as a shell would read
them: several on a line, quotes, `# comments` and lines that go on behind a backslash.
Variables are not replaced. What stands behind a flagfile wins over it, lists too.

This page is written by `python docs/make_flags.py`.
"""


_HEAD = "| flag | what it does | values | has effect |\n| --- | --- | --- | --- |"


def main() -> None:
    """Writes the page."""
    PAGE.write_text(page())


def page() -> str:
    """The whole page."""
    return "\n".join([_INTRODUCTION, *_sections()]) + "\n"


def _sections() -> Iterator[str]:
    told: dict[str, tuple[str, set[str]]] = {}  # Topic -> command, and rows.
    for command, (record, retired) in _commands().items():
        yield f"## {command}\n\n{flag_help.manual(record).splitlines()[0]}\n"
        needed = effects.company(record)
        for topic, entries in flag_help.topics(record, retired):
            rows = [_row(e, "; ".join(needed.get(e.name, ()))) for e in entries]
            first, known = told.setdefault(topic, (command, set()))
            same = [row for row in rows if row in known]
            known.update(rows)
            yield f"**{topic}**\n"
            if same:
                others = " and:" if len(same) < len(rows) else ""
                yield f"{len(same)} as of `{first}`{others}\n"
            if len(same) < len(rows):
                yield _HEAD
                yield from (row for row in rows if row not in same)
                yield ""


def _row(entry: flag_help.Entry, company: str) -> str:
    name = f"`--{entry.name}`"
    name = f"*{name}*" if entry.name in OFFICIAL else name
    values, _, default = entry.facts.rpartition("default")
    default = (
        f"[{default.lstrip(': ')}]" if default and "default" in entry.facts else ""
    )
    values = values.rstrip("; ") if default else entry.facts
    cells = (name, entry.help, f"{values} {default}".strip(), company)
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


def _commands() -> dict[str, tuple[type, dict[str, Any]]]:
    """Record and retired flags by what is typed."""
    own = {
        "python train.py": (TrainConfig, commands.RETIRED),
        "python eval.py": (EvalConfig, commands.RETIRED_AFTER_TRAINING),
        "python vis.py": (VisConfig, commands.RETIRED_AFTER_TRAINING),
        "python export.py": (ExportConfig, commands.RETIRED_AFTER_TRAINING),
        "deeplab-web": (WebConfig, {}),
        "deeplab-predict": (PredictConfig, {}),
        "python -m deeplab_tf.evaluation compare A B ...": (CompareConfig, {}),
        "python -m deeplab_tf.runs FOLDER": (RunsConfig, {}),
        "python -m deeplab_tf.models": (ListConfig, {}),
        "python -m deeplab_tf.data check DIR": (CheckConfig, {}),
    }
    return own | {
        f"python datasets/{path.name}": (record_of(path), {})
        for path in sorted((_ROOT / "datasets").glob("*.py"))
    }


def record_of(script: Path) -> type:
    """The record of a script's flags."""
    names = runpy.run_path(str(script), run_name=script.stem)
    if main := names.get("main"):  # What it calls, defines the record.
        names = main.__globals__
    (record,) = (
        value
        for name, value in names.items()
        if name.endswith("Config")
        and value.__module__.rpartition(".")[2] == script.stem
    )
    return record


if __name__ == "__main__":
    main()
