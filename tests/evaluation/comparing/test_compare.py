"""Comparisons of evaluations: by plain loops, and what cannot be compared."""

import csv
import io
import json
import re

import numpy as np
import pytest
from PIL import Image

from deeplab_tf.data.specs import shapes as shapes_spec
from deeplab_tf.errors import FlagError, InputError
from deeplab_tf.evaluation import __main__ as command
from deeplab_tf.evaluation import bootstrap, csv_tables, image_counts
from deeplab_tf.evaluation.__main__ import CompareConfig
from deeplab_tf.evaluation.comparing import html, texts
from deeplab_tf.evaluation.comparing.compare import compare, two_sided_p
from deeplab_tf.evaluation.comparing.stored import open_evaluation
from deeplab_tf.evaluation.confusion import Confusion
from deeplab_tf.evaluation.image_counts import ImageCounts
from deeplab_tf.evaluation.scores import Evaluation

SPEC = shapes_spec.SPEC
NAMES = [f"image_{i}" for i in range(8)]


def matrices(seed, names=NAMES, hits=0.8):
    """Confusion matrices of 3 of 6 classes each, which depend on the image's name."""
    found = {}
    for name in names:
        truth = np.random.default_rng(int(name.split("_")[1]))
        rng = np.random.default_rng([seed, int(name.split("_")[1])])
        matrix = np.zeros((6, 6), np.int64)
        for label in truth.choice(6, 3, replace=False):
            total = int(truth.integers(10, 100))
            right = rng.binomial(total, hits)
            matrix[label, label] = right
            matrix[label, rng.integers(6)] += total - right
        found[name] = matrix
    return found


def store(folder, found, *, spec=SPEC, settings=None, checkpoint="gone/model.ckpt-10"):
    folder.mkdir(parents=True, exist_ok=True)
    counts = [ImageCounts.of(name, (9, 9), matrix) for name, matrix in found.items()]
    path = folder / image_counts.FILE
    image_counts.save(
        path, counts, spec, checkpoint=checkpoint, settings=settings or {}
    )
    return str(folder)


def compared(first, second, **options):
    return compare(open_evaluation(first), open_evaluation(second), **options)


def iou_by_loops(total, of=range(6)):
    """Of each class of a confusion matrix, by the definition; None but for some."""
    scores = []
    for label in range(6):
        if label not in of:
            scores.append(None)
            continue
        hits = total[label][label]
        union = -hits
        for other in range(6):
            union += total[label][other] + total[other][label]
        scores.append(hits / union if union else None)
    return scores


def mean(scores):
    known = [score for score in scores if score is not None]
    return sum(known) / len(known)


def test_differences_intervals_and_p_are_those_of_plain_loops(tmp_path):
    a, b = matrices(1), matrices(2, hits=0.9)
    result = compared(store(tmp_path / "a", a), store(tmp_path / "b", b), count=200)
    before, after = (iou_by_loops(sum(each.values()).tolist()) for each in (a, b))
    assert result.miou.difference == pytest.approx(
        mean(after) - mean(before), abs=1e-12
    )
    for change, x, y in zip(result.classes, before, after, strict=True):
        assert (change.first, change.second) == pytest.approx((x, y), abs=1e-12)
    differences = []
    for times in bootstrap.resamples(8, count=200, seed=0):
        totals = [np.zeros((6, 6)), np.zeros((6, 6))]
        for name, count in zip(NAMES, times, strict=True):
            for total, found in zip(totals, (a, b), strict=True):
                total += count * found[name]
        # A class that the draw has in no truth leaves its mean; all are in the whole.
        drawn = [label for label in range(6) if totals[0][label].sum()]
        scores = [mean(iou_by_loops(total.tolist(), drawn)) for total in totals]
        differences.append(scores[1] - scores[0])
    low, high = np.percentile(differences, [2.5, 97.5])
    assert result.miou.interval == pytest.approx((low, high), abs=1e-12)
    below = sum(each <= 0 for each in differences)
    above = sum(each >= 0 for each in differences)
    assert result.miou.p == pytest.approx(min(1, 2 * (1 + min(below, above)) / 201))


@pytest.mark.parametrize(
    ("differences", "expected"),
    [
        ([0.1] * 999, 2 / 1000),  # None on the other side of 0.
        ([-0.1] * 999, 2 / 1000),
        ([0.0] * 99, 1.0),
        ([-1.0] * 9 + [1.0] * 90, 2 * 10 / 100),
        ([-1.0] * 9 + [1.0] * 90 + [np.nan] * 50, 2 * 10 / 100),
        ([np.nan], np.nan),
    ],
)
def test_p_is_twice_the_share_of_the_rarer_side(differences, expected):
    p = two_sided_p(np.array(differences))
    assert p == pytest.approx(expected, nan_ok=True)


@pytest.mark.nightly
def test_where_nothing_differs_p_is_as_rarely_small_as_it_says():
    """Means of 200 images, of which both have the same expectation: 5 % below 0.05."""
    rng, small = np.random.default_rng(0), 0
    for draw in range(400):
        values = rng.normal(size=200)
        resampled = np.array(
            [times @ values / 200 for times in bootstrap.resamples(200, seed=draw)]
        )
        small += two_sided_p(resampled) < 0.05
    assert 0.02 < small / 400 < 0.09  # Binomial, 3.5 standard deviations around 0.055.


def test_an_evaluation_with_itself_differs_by_nothing(tmp_path):
    folder = store(tmp_path / "a", matrices(1))
    result = compared(folder, folder)
    assert (result.miou.difference, result.miou.interval) == (0, (0, 0))
    assert (result.miou.p, result.miou.verdict) == (1, "")
    assert not result.changed(better=True) + result.changed(better=False)


def test_a_class_that_one_has_not_has_no_difference(tmp_path):
    matrix = np.zeros((6, 6), np.int64)
    matrix[0, 0] = 5
    other = matrix.copy()
    other[0, 3] = 5
    a, b = ({"image_0": each} for each in (matrix, other))
    result = compared(store(tmp_path / "a", a), store(tmp_path / "b", b))
    absent = result.classes[3]
    assert np.isnan([absent.first, absent.difference, absent.p, *absent.interval]).all()
    assert absent.second == 0
    assert result.miou.difference == -0.75  # (1/2 + 0) / 2 - 1.
    assert result.classes[4].images == 0
    line = next(line for line in texts.lines([result]) if line.startswith("ring"))
    assert line.split()[1:] == ["-", "0.00", "-", "-", "-"]


def test_images_of_one_alone_are_told_and_left_out(tmp_path, caplog):
    a, b = matrices(1), matrices(2, NAMES[2:])
    b["image_2"] = b["image_2"] * 2  # Another truth.
    first, second = store(tmp_path / "a", a), store(tmp_path / "b", b)
    command.run(CompareConfig(evaluations=(first, second)))
    assert "a has 2 images that " in caplog.text
    assert "first image_0; left out: scores are of the 6 that both" in caplog.text
    assert "1 image with other true pixels" in caplog.text
    result = compared(first, second)
    assert [image.name for image in result.images] == NAMES[2:]
    common = sum(a[name] for name in NAMES[2:])
    assert result.miou.first == pytest.approx(mean(iou_by_loops(common.tolist())))


def test_other_splits_and_ignore_labels_are_told(tmp_path):
    ignoring = SPEC.__class__(**{**vars(SPEC), "ignore_label": 0})
    first = store(tmp_path / "a", matrices(1))
    second = store(
        tmp_path / "b", matrices(2), spec=ignoring, settings={"eval_split": "train"}
    )
    split, label = texts.warnings(compared(first, second))
    assert split.endswith("are of another eval_split: val and train")
    assert label.endswith("are of another ignore_label: 255 and 0")


def test_images_of_one_name_are_matched_in_their_order(tmp_path):
    a, b = (list(matrices(seed).values()) for seed in (1, 2))
    folders = []
    for name, found in (("a", a), ("b", b)):
        counts = [ImageCounts.of("same", (9, 9), matrix) for matrix in found]
        (tmp_path / name).mkdir()
        path = tmp_path / name / image_counts.FILE
        image_counts.save(path, counts, SPEC, checkpoint="")
        folders.append(str(tmp_path / name))
    result = compared(*folders)
    assert len(result.images) == 8
    for image, matrix in zip(result.images, b, strict=True):
        assert image.second == pytest.approx(mean(iou_by_loops(matrix.tolist())))


def evaluated(folder, found, settings):
    """A folder as eval.py leaves it; returns what its metrics.json says."""
    confusion = Confusion(SPEC)
    confusion.matrix += sum(found.values())
    confusion.num_images = len(found)
    images = [ImageCounts.of(name, (9, 9), matrix) for name, matrix in found.items()]
    evaluation = Evaluation(confusion=confusion, images=images)
    folder.mkdir()
    csv_tables.write(folder, evaluation, checkpoint="run/a", settings=settings)
    return evaluation.scores


def test_images_are_those_of_per_image_csv(tmp_path, capsys):
    """And all scores those of metrics.json; read with the csv module."""
    folders = [str(tmp_path / name) for name in ("plain", "flips")]
    scores = [
        evaluated(tmp_path / "plain", matrices(1), {"eval_batch_size": 2}),
        evaluated(tmp_path / "flips", matrices(2), {"add_flipped_images": True}),
    ]
    settings = {"evaluations": tuple(folders), "output_dir": str(tmp_path / "out")}
    command.run(CompareConfig(**settings))
    tables = []
    for folder in folders:
        with open(f"{folder}/per_image.csv", newline="") as file:
            tables.append({row["name"]: row for row in csv.DictReader(file)})
    with open(tmp_path / "out" / "compare.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    images = [row for row in rows if row["kind"] == "image"]
    assert [row["name"] for row in images] == list(tables[0]) == NAMES
    for row in images:
        before, after = (float(table[row["name"]]["miou"]) for table in tables)
        assert float(row["score_first"]) == before
        assert float(row["score_second"]) == after
        assert float(row["difference"]) == pytest.approx(after - before, abs=1.1e-6)
    for said, column in zip(scores, ("score_first", "score_second"), strict=True):
        assert float(rows[0][column]) == pytest.approx(said["miou"], abs=1e-6)
        for row in rows[1:7]:
            expected = said["iou"][row["name"]]
            assert float(row[column]) == pytest.approx(expected, abs=1e-6)
    printed = capsys.readouterr().out
    assert "--add_flipped_images: not given | True" in printed
    assert "--eval_batch_size: 2 | not given" in printed
    assert (tmp_path / "out" / "compare.html").exists()


def test_the_table_has_80_columns(tmp_path):
    spec = SPEC.__class__(**{**vars(SPEC), "classes": ("x" * 60, *SPEC.classes[1:])})
    names = [f"image_{i}" for i in range(30)]
    folders = [
        store(
            tmp_path / name,
            matrices(i, names, 0.3 * i),
            spec=spec,
            checkpoint="c " * 60,
        )
        for i, name in enumerate("abc")
    ]
    first, *others = map(open_evaluation, folders)
    lines = list(texts.lines([compare(first, each) for each in others]))
    assert max(map(len, lines)) <= 80
    assert sum(line.startswith("mIoU ") for line in lines) == 2
    assert any(line.split()[-1:] == ["better"] for line in lines)


def test_settings_of_runs_that_differ_are_told(tmp_path):
    folders = []
    for name, rate in (("a", 0.007), ("b", 0.01)):
        run = tmp_path / name
        run.mkdir()
        settings = {
            "train_logdir": str(run),
            "optimizer": {"base_learning_rate": rate, "momentum": 0.9},
            "augment": {"train_crop_size": [65, 65]},
        }
        (run / "config.json").write_text(json.dumps(settings))
        checkpoint = str(run / "model.ckpt-10")
        folders.append(store(run / "eval", matrices(1), checkpoint=checkpoint))
    lines = list(texts.lines([compared(*folders)]))
    assert "  --base_learning_rate: 0.007 | 0.01" in lines
    assert not any("momentum" in line or "train_logdir" in line for line in lines)


def test_the_only_evaluation_of_a_run_is_taken(tmp_path):
    store(tmp_path / "run" / "eval", matrices(1))
    opened = open_evaluation(str(tmp_path / "run"))
    assert opened.folder == tmp_path / "run" / "eval"
    store(tmp_path / "run" / "flips", matrices(1))
    with pytest.raises(InputError, match=r"2 evaluations below it \(.*eval, .*flips\)"):
        open_evaluation(str(tmp_path / "run"))
    with pytest.raises(InputError, match=r"nowhere: no such folder"):
        open_evaluation(str(tmp_path / "nowhere"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"empty: no per_image_counts\.npz in it, nor"):
        open_evaluation(str(tmp_path / "empty"))


@pytest.mark.parametrize(
    ("classes", "names", "message"),
    [
        (SPEC.classes[:5], NAMES, "b: of other classes: 5 classes there, 6 in "),
        (
            ("ground", "box", "ball", *SPEC.classes[3:]),
            NAMES,
            'b: of other classes: class 1 is "box" there, "ball" in ',
        ),
        (SPEC.classes, ["image_8"], "have no image in common, as image_0 and image_8"),
    ],
)
def test_what_cannot_be_compared_is_one_line(tmp_path, classes, names, message):
    changed = {"classes": classes, "palette": SPEC.palette[: len(classes)]}
    spec = SPEC.__class__(**{**vars(SPEC), **changed})
    found = {
        name: matrix[: len(classes), : len(classes)]
        for name, matrix in matrices(1, names).items()
    }
    first = store(tmp_path / "a", matrices(1))
    second = store(tmp_path / "b", found, spec=spec)
    with pytest.raises(InputError, match=message):
        command.run(CompareConfig(evaluations=(first, second)))
    assert not (tmp_path / "b" / "compare.csv").exists()


def test_the_page_is_one_file_in_which_names_do_no_harm(tmp_path):
    names = [*NAMES[:-1], "<script>alert(1)</script>_9"]
    a, b = matrices(1, NAMES), matrices(2, NAMES, 0.9)
    for found in (a, b):
        found[names[-1]] = found.pop(NAMES[-1])
    folders = store(tmp_path / "a", a), store(tmp_path / "b", b)
    text = html.render([compared(*folders)])
    assert "<script" not in text
    assert "&lt;script&gt;alert(1)" in text
    assert not re.search(r"(src|href)=[\"']?https?:", text)
    rows = re.findall(r'<th scope="row">([^<]+)</th>', text)
    assert rows[:7] == ["mIoU", *SPEC.classes]
    assert text.count("<svg") == 7


def test_pictures_of_both_stand_side_by_side(tmp_path, caplog):
    folders = [store(tmp_path / n, matrices(i)) for i, n in enumerate("ab")]
    result = compared(*folders)
    for name, places in (("va", NAMES), ("vb", NAMES[1:])):
        (tmp_path / name / "segmentation_results").mkdir(parents=True)
        for image in places:
            path = tmp_path / name / "segmentation_results" / f"{image}_overlay.png"
            Image.new("RGB", (900, 450), "red").save(path)
    pictures = [str(tmp_path / name) for name in ("va", "vb")]
    text = html.render([result], pictures=pictures)
    assert text.count('src="data:image/jpeg;base64,') == 2 * 7
    assert 'alt="image_3, A"' in text
    assert 'alt="image_3, B"' in text
    assert "Pictures of 1 images are not in " in caplog.text
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="in one of them is no overlay of image_"):
        html.render([result], pictures=[pictures[0], str(tmp_path / "empty")])


def test_folders_come_before_flags(monkeypatch, capsys, tmp_path):
    assert command.name_folders(["compare", "a", "b", "--images=3"]) == [
        *("--evaluations=a", "--evaluations=b", "--images=3")
    ]
    with pytest.raises(FlagError, match="two evaluations or more are needed"):
        CompareConfig(evaluations=("a",))
    with pytest.raises(FlagError, match="--pictures: 1 folders for 2 evaluations"):
        CompareConfig(evaluations=("a", "b"), pictures=("c",))
    folders = [store(tmp_path / name, matrices(i)) for i, name in enumerate("ab")]
    monkeypatch.setattr("sys.argv", ["evaluation", "compare", *folders])
    command.main()
    assert capsys.readouterr().out.startswith(f"A  {folders[0]}")
    rows = list(csv.reader(io.StringIO((tmp_path / "b" / "compare.csv").read_text())))
    assert len(rows) == 1 + 1 + 6 + 8
