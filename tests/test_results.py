"""Numbers of the pages of results: all are those of the runs that made them."""

import importlib
import json

import pytest

from benchmarks import ablations
from deeplab_tf.errors import InputError
from tests.recorded import ROOT


@pytest.fixture(scope="module")
def docs():
    """Imports a script of docs/."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "docs")
        yield importlib.import_module


@pytest.fixture(scope="module")
def make(docs):
    return docs("make_results")


def test_tables_and_charts_are_what_the_script_writes(make):
    for path, text in make.files():
        assert path.read_text() == text, f"{path}: python docs/make_results.py"


def test_every_number_of_a_page_is_of_a_table_or_from_elsewhere(make):
    texts = {name: (ROOT / "docs" / name).read_text() for name in make.PAGES}
    for name, page in texts.items():
        assert not make.unfounded(page), name
    for number in make.FROM_ELSEWHERE:
        assert any(number in page for page in texts.values()), number


def test_every_table_is_in_a_page_and_every_page_has_one(make, docs):
    names = []
    for page in (*make.PAGES, *make.OTHER_PAGES):
        in_page = make._TABLE.findall((ROOT / "docs" / page).read_text())
        assert in_page, page
        names += [name for _, name, _ in in_page]
    assert sorted(names) == sorted(docs("result_tables").TABLES)


def test_every_result_says_what_ran_where():
    paths = sorted((ROOT / "docs" / "results").rglob("*.json"))
    assert paths
    for path in paths:
        content = json.loads(path.read_text())
        for fact in ("command", "revision", "machine", "measured"):
            assert content[fact], path


def test_a_number_that_no_table_has_is_seen(make):
    told = (
        "mIoU 71.95 and -0.50 of 0.8; published 75.32. Version `0.2`, [of "
        "it](http://a/5.6), TensorFlow 2.20.1.\n\n    --rate=0.007\n\n"
        "<!-- table x -->\n| 71.95 (60.1 to +0.50) | 0.8 |\n<!-- end -->\n"
    )
    assert make.unfounded(told) == []
    others = ["71.94", "71.9", "11.1"]
    assert make.unfounded(f"{told} {', '.join(others)}.") == others


def test_tables_are_filled_between_their_marks(make, docs, monkeypatch):
    monkeypatch.setitem(docs("result_tables").TABLES, "x", lambda: "| new |")
    page = "A\n<!-- table x -->\n| old |\n<!-- end -->\nB\n"
    filled = make.fill(page)
    assert filled == "A\n<!-- table x -->\n\n| new |\n\n<!-- end -->\nB\n"
    assert make.fill(filled) == filled


def test_results_are_kept_with_what_ran(docs, monkeypatch, tmp_path):
    keep = docs("keep_result")
    monkeypatch.setattr(keep, "RESULTS", tmp_path)

    def kept(name, text):
        (tmp_path / name).write_text(text)
        keep.keep(
            keep.KeepConfig(
                name="of/run",
                measured=str(tmp_path / name),
                command="python eval.py",
                revision="abc",
            )
        )
        return json.loads((tmp_path / "of" / "run.json").read_text())

    content = kept("metrics.json", '{"miou": 0.5, "iou": {"cat": null}}')
    assert content["measured"] == {"miou": 0.5, "iou": {"cat": None}}
    assert content["command"] == "python eval.py"
    assert content["revision"] == "abc"
    assert "cores" in content["machine"]
    rows = [{"strength": 1}, {"strength": 2}]
    lines = "\n".join(map(json.dumps, rows)) + "\n"
    assert kept("lines.jsonl", lines)["measured"] == rows
    table = "kind,name,difference\nmean,mIoU,0.5\nimage,a,0.25\nclass,cat,\n"
    assert kept("compare.csv", table)["measured"] == [
        {"kind": "mean", "name": "mIoU", "difference": 0.5},
        {"kind": "class", "name": "cat", "difference": None},
    ]
    with pytest.raises(InputError, match=r"bad\.json: no JSON"):
        kept("bad.json", "{")


SCORES = {
    "miou": 0.5,
    "miou_interval": [0.4, 0.6],
    "pixel_accuracy": 0.9,
    "iou": {"Sky": 0.7, "Pole": 0.1, "Sign": 0.2, "Pedestrian": 0.3},
    "iou_intervals": {name: None for name in ("Sky", "Pole", "Sign", "Pedestrian")},
    "share": {"Sky": 0.5, "Pole": 0.01, "Sign": 0.02, "Pedestrian": 0.03},
}


@pytest.fixture
def tables(docs, monkeypatch, tmp_path):
    """Tables and charts of results that a test keeps by name."""
    markdown = docs("result_tables.markdown")
    monkeypatch.setattr(markdown, "RESULTS", tmp_path)

    def make(results):
        for name, measured in results.items():
            path = tmp_path / f"{name}.json"
            path.parent.mkdir(exist_ok=True)
            path.write_text(json.dumps({"measured": measured}))
        markdown.read.cache_clear()
        return docs("result_tables")

    yield make
    markdown.read.cache_clear()


def test_tables_of_camvid_are_made_of_what_runs_leave(tables):
    change = {"difference": 0.01, "low": -0.02, "high": 0.03}
    row = {"kind": "mean", "first": "evals/recipe_scale1", **change}
    made = tables(
        {
            "camvid/recipe_scale1": SCORES,
            "camvid/recipe_scales_flips": SCORES | {"miou": 0.51},
            "camvid/again_scale1": SCORES | {"miou": 0.52},
            "camvid/again_train": SCORES | {"miou": 0.53},
            "camvid/recipe_compare": [row | {"second": "a_b/recipe_scales_flips"}],
            "camvid/search": [
                SCORES | {"what": "plain", "steps": 500, "minutes": 12.5}
            ],
            "camvid/metrics": [
                {"step": 50, "loss": 2.5},
                {"step": 50, "eval_miou": 0.1},
                {"step": 100, "loss": 1.5},
            ],
        }
    )
    settings = made.TABLES["camvid_settings"]()
    assert "| 51.00 (40.0 to 60.0) | +1.00 (-2.0 to +3.0) | 90.00 |" in settings
    assert "| Pole | 10.00 | 10.00 | 1.0 |" in made.TABLES["camvid_classes"]()
    search = made.TABLES["camvid_search"]()
    assert "| plain | 500 | 12.5 | 50.00 | 10.0 | 20.0 | 30.0 |" in search
    again = made.TABLES["camvid_again"]()
    row = "the photograph as it is{} | {} (40.0 to 60.0) | 10.0 | 20.0 | 30.0 |"
    assert row.format("", "50.00") in again
    assert row.format("; trained again", "52.00") in again
    assert "| `train` itself; trained again | 53.00 (40.0 to 60.0) |" in again
    assert again.count("trained again") == 2
    chart = made.CHARTS["camvid_loss.svg"]()
    assert chart.startswith("<svg")
    assert chart.count("<circle") == 2


def test_table_of_formats_is_made_of_the_reports_of_an_export(tables):
    report = {
        "format": "onnx",
        "quantize": "int8",
        "file_bytes": 2_808_000,
        "latency": {"p50_ms": 82.4},
        "peak_memory_bytes": 310_000_000,
        "equal_pixels": {"mean": 0.98861, "worst": 0.958},
        "probabilities": {"largest_difference": 0.4712},
        "miou": {"network": 0.7269, "export": 0.7323},
    }
    whole = report | {"format": "keras", "quantize": "none", "peak_memory_bytes": None}
    made = tables({"formats/voc_width1": [whole, report]}).TABLES["formats"]()
    assert "mIoU (network: 72.69) |" in made
    assert "| Keras | float32 | 2.81 | 82 | - | 98.86, 95.80 | 0.47 | 73.23 |" in made
    assert "| ONNX | int8 | 2.81 | 82 | 310 | 98.86, 95.80 | 0.47 | 73.23 |" in made


def test_tables_of_ablations_are_made_of_what_the_benchmark_leaves(tables, docs):
    training = {"minutes_taken": 16.4, "seconds_a_step": 0.5, "steps": 1800}
    compared = {"difference": 0.01, "low": -0.02, "high": 0.03, "p": 0.4}
    parts = docs("result_tables.ablations").PARTS
    summary = {
        "networks": {
            "fcn8s": SCORES | training,
            "unet": SCORES | training,
            **{name: SCORES for pair in parts for name in pair},
            "plain": SCORES | training | {"steps": 786},
            "decoder": SCORES | training | {"steps": 483},
        },
        "compared": [
            {"first": first, "second": second, **compared}
            for first, second in [*parts, ("fcn8s", "unet")]
        ],
    }
    made = tables({"ablations/camvid": summary})
    lineage = made.TABLES["lineage"]()
    row = "1800 | 0.50 | 16 | 50.00 (40.0 to 60.0)"
    assert f"FCN-8s, VGG of a quarter | {row} |  | 90.00 |" in lineage
    assert (
        f"U-Net, a quarter as wide | {row} | +1.00 (-2.0 to +3.0) | 90.00 |" in lineage
    )
    rows = made.TABLES["parts"]()
    change = "| 50.00 | 50.00 | +1.00 (-2.0 to +3.0) |"
    assert rows.count(change) == 9
    assert f"the decoder {change} 786, 483 |  |" in rows
    assert f"output stride 8 {change} 483 |  |" in rows
    summary["compared"] = [
        row for row in summary["compared"] if row["first"] != "resnet_18"
    ]
    rows = tables({"ablations/camvid": summary}).TABLES["parts"]()
    assert "| multi-grid 1, 2; ResNet-18 | not measured |  |  |  |" in rows
    assert rows.count(change) == 8
    assert made.TABLES["repeated"]() == "not measured"


def test_another_training_stands_beside_the_first_one(tables):
    compared = {"first": "plain", "second": "decoder", "low": -0.02, "high": 0.03}

    def trained(change, **scores):
        networks = {
            name: SCORES | {"steps": 100, "miou": miou} for name, miou in scores.items()
        }
        return {
            "networks": networks,
            "compared": [compared | {"difference": change}],
        }

    made = tables(
        {
            "ablations/camvid": trained(
                0.01, fcn8s=0.5, unet=0.4, plain=0.6, decoder=0.5
            ),
            "ablations/camvid_again": trained(-0.01, unet=0.37, plain=0.61),
            "ablations/camvid_repeated": {
                "fcn8s": SCORES | {"steps": 80, "miou": 0.54},
                "plain": SCORES | {"steps": 70, "miou": 0.61},
            },
        }
    )
    parts = made.TABLES["parts"]()
    assert "+1.00 (-2.0 to +3.0) | 100, 100 | -1.00 (-2.0 to +3.0) |" in parts
    repeated = made.TABLES["repeated"]()
    assert "a quarter | 100 | 50.00 | 80 | 54.00 | +4.00 |" in repeated
    assert "as wide | 100 | 40.00 | 100 | 37.00 | -3.00 |" in repeated
    # 1.96 sqrt((4^2 + 3^2) / 2); of one, 1.96 times its size.
    assert "random weights: 95 % |  |  |  |  | ±6.9 |" in repeated
    assert "stride 16 | 100 | 60.00 | 70 | 61.00 | +1.00 |" in repeated
    assert "stride 16 | 100 | 60.00 | 100 | 61.00 | +1.00 |" in repeated
    assert "Google's weights: 95 % |  |  |  |  | ±2.0 |" in repeated


def test_tables_have_a_row_for_each_ablation(docs):
    tables = docs("result_tables.ablations")
    assert tuple(tables.LINEAGE) == ablations.LINEAGE
    looks = [
        (ablations.LOOKED_AT, f"{ablations.LOOKED_AT}_{x}") for x in ablations.LOOKS
    ]
    assert list(tables.PARTS) == [*ablations.PAIRS, *looks]
    rows = [name for group in tables.STARTS.values() for name in group]
    assert sorted(rows) == sorted(ablations.NAMES)
