"""Runs as a table of 80 columns, and as JSON."""

import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

from deeplab_tf.checkpoints import best_metric, run_settings
from deeplab_tf.errors import printable
from deeplab_tf.runs.listing import ListedRun

_WIDTH, _NAME = 80, 22  # Columns: of all, and of the names of runs.
_ROW = "{:{width}}  {:9}{:>15}{:>8}{:>9}{:>9}"


def lines(runs: Sequence[ListedRun]) -> Iterator[str]:
    """A row a run; then remarks, and the settings in which runs differ."""
    width = min(_NAME, max(len("run"), *(len(printable(run.name)) for run in runs)))
    titles = ("run", "state", "steps", "mIoU %", "time", "size")
    yield _ROW.format(*titles, width=width)
    for run in runs:
        name = printable(run.name)
        if len(name) > width:
            yield name
            name = ""
        yield _ROW.format(name, *_cells(run), width=width).rstrip()
    yield from _remarks(runs)
    yield from _settings(runs)


def facts(runs: Sequence[ListedRun]) -> list[dict[str, Any]]:
    """What `--json` prints of each run; null where something is not known."""
    differing = run_settings.differences([run.settings for run in runs if run.settings])
    return [
        {
            "folder": str(run.folder),
            "state": _state(run),
            "steps": run.state.steps,
            "total_steps": run.state.total,
            "miou": run.best[1] if run.best else None,
            "miou_step": run.best[0] if run.best else None,
            "best_metric": run.metric[0] if run.metric else best_metric.MIOU,
            "best": run.metric[1] if run.metric else run.best and run.best[1],
            "seconds": run.seconds,
            "last": run.last,
            "bytes": run.size,
            "stale_lock": bool(run.lock and not run.lock.is_held),
            "settings_that_differ": {
                name: run.settings.get(name) for name in differing
            },
            "remarks": list(run.remarks),
        }
        for run in runs
    ]


def _cells(run: ListedRun) -> tuple[str, ...]:
    total = "?" if run.state.total is None else f"{run.state.total}"
    return (
        _state(run),
        f"{run.state.steps}/{total}",
        f"{100 * run.best[1]:.2f}" if run.best else "-",
        "-" if run.seconds is None else _duration(run.seconds),
        _bytes(run.size),
    )


def _state(run: ListedRun) -> str:
    is_still = run.state.state in ("finished", "stopped")
    return "damaged" if run.is_damaged and is_still else run.state.state


def _remarks(runs: Sequence[ListedRun]) -> Iterator[str]:
    told = [f"{run.name}: {remark}" for run in runs for remark in run.remarks]
    told += [
        f"{run.name}: best by {best_metric.title(run.metric[0])}, "
        + ("not scored" if run.metric[1] is None else f"{100 * run.metric[1]:.2f} %")
        for run in runs
        if run.metric
    ]
    if told:
        yield ""
    for line in told:
        yield from _wrap(printable(line), "  ")


def _settings(runs: Sequence[ListedRun]) -> Iterator[str]:
    known = [run for run in runs if run.settings]
    differing = run_settings.differences([run.settings for run in known])
    if not differing:
        return
    yield ""
    yield "Settings that differ:"
    for i, run in enumerate(known):
        values = [
            f"--{name}={run_settings.shown(each[i])}"
            for name, each in differing.items()
            if each[i] not in (None, [])
        ]
        yield from _wrap(printable(f"{run.name}  {' '.join(values)}"), "  ", start="  ")


def _wrap(text: str, indent: str, start: str = "") -> list[str]:
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=start,
        subsequent_indent=start + 2 * indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _duration(seconds: float) -> str:
    """`h:mm:ss`, or days and hours."""
    whole = round(seconds)
    if whole >= 100 * 3600:
        return f"{whole // 86400} d {whole % 86400 // 3600} h"
    return f"{whole // 3600}:{whole % 3600 // 60:02}:{whole % 60:02}"


def _bytes(count: int) -> str:
    number = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if number < 999.5:
            return f"{number:.0f} {unit}"
        number /= 1000
    return f"{number:,.1f} TB"
