"""The page on architectures: its numbers are those of the networks."""

import re
import shlex

import pytest

from deeplab_tf import flags
from deeplab_tf.config import TrainConfig
from deeplab_tf.config.architectures import ARCHITECTURES
from deeplab_tf.models import summary
from deeplab_tf.models.__main__ import ListConfig
from deeplab_tf.models.backbones import BACKBONES
from tests.recorded import ROOT

PAGE = ROOT / "docs" / "architectures.md"
COLUMNS = [
    *("network", "new", "flags", "parameters", "output stride", "published", "recipe"),
]

# What makes networks of one name and feature extractor differ in the tables.
DECIDING = [
    *("atrous_rates", "multi_grid", "aspp_with_separable_conv"),
    *("decoder_output_stride", "decoder_use_separable_conv"),
]


def rows():
    """Cells by column, of every network of the page."""
    found, columns = [], None
    for line in PAGE.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| network"):
            columns = cells
        elif columns and line.startswith("|") and "---" not in line:
            found.append(dict(zip(columns, cells, strict=True)))
        elif not line.startswith("|"):
            columns = None
    return found


def named(row):
    """The command's settings that the flags of a row make."""
    return flags.parse(ListConfig, ["models", *shlex.split(row["flags"].strip("`"))])


def test_every_architecture_has_a_row():
    found = {named(row).model.given["architecture"] for row in rows()}
    assert found == ARCHITECTURES.keys()
    assert all(list(row) == COLUMNS for row in rows())


@pytest.mark.parametrize("row", rows(), ids=lambda row: row["flags"].strip("`"))
def test_a_row_has_the_numbers_of_its_network(row):
    config = named(row)
    size = summary.summarize(config.model.onto(None), config.num_classes, (129, 129))
    assert f"{size.parameters:,}" == row["parameters"]
    assert str(size.output_stride) == row["output stride"]


@pytest.mark.parametrize("row", rows(), ids=lambda row: row["flags"].strip("`"))
def test_a_recipe_is_for_the_network_of_its_row(row):
    config = named(row).model.onto(None)
    for path in re.findall(r"\(\.\./(deeplab_tf/recipes/\w+\.flags)\)", row["recipe"]):
        needed = ["--train_logdir=run", "--dataset_dir=data"]
        argv = ["train", f"--flagfile={ROOT / path}", *needed]
        model = flags.parse(TrainConfig, argv).model
        for field in ("head", "model_variant", "output_stride", *DECIDING):
            assert getattr(model, field) == getattr(config, field), (path, field)


def feature_extractors():
    """Names in the first column of their table."""
    section = PAGE.read_text().split("\n## Feature extractors\n")[1].split("\n## ")[0]
    first_cells = re.findall(r"^\|([^|]+)\|", section, re.MULTILINE)
    return [name for cell in first_cells for name in re.findall(r"`(\w+)`", cell)]


@pytest.mark.parametrize("name", BACKBONES)
def test_a_feature_extractor_has_its_row(name):
    assert feature_extractors().count(name) == 1


def test_no_other_feature_extractor_has_a_row():
    assert set(feature_extractors()) <= BACKBONES.keys()


def test_every_figure_is_shown_and_small_and_its_text_is_text():
    figures = sorted((ROOT / "docs" / "figures").glob("*.svg"))
    shown = re.findall(r"!\[[^\]]+\]\(figures/(\w+\.svg)\)", PAGE.read_text())
    assert sorted(shown) == [path.name for path in figures]
    for path in figures:
        assert path.stat().st_size < 100_000
        assert "image</text>" in path.read_text()


def test_figures_are_what_the_script_draws(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    folder = ROOT / "docs" / "figures"
    monkeypatch.syspath_prepend(folder)
    import draw

    monkeypatch.setattr(draw, "FOLDER", tmp_path)
    draw.main()
    for path in tmp_path.iterdir():
        texts = [
            re.findall(r">([^<]+)</text>", (parent / path.name).read_text())
            for parent in (tmp_path, folder)
        ]
        assert texts[0] == texts[1]
