"""Ablations: what is called in which order, and what a second call leaves out."""

import json
from pathlib import Path

import pytest

from benchmarks import ablations
from deeplab_tf.errors import FlagError, InputError
from deeplab_tf.evaluation import image_counts

SCORES = {
    "miou": 0.5,
    "miou_interval": [0.4, 0.6],
    "pixel_accuracy": 0.9,
    "iou": {"Sky": 0.5},
    "kappa": 0.7,
}


@pytest.fixture
def called(monkeypatch):
    """Commands, which leave what the real ones do: steps of batch 4 at 8 images/s."""
    commands = []

    def command(*words):
        commands.append(words)
        flags = dict(word.split("=", 1) for word in words if "=" in word)
        if words[0] == "train.py":
            folder = Path(flags["--train_logdir"])
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "config.json").write_text('{"train_batch_size": 4}')
            rates = {10: 1, 20: 2, 30: 8, 40: 8, 50: 7}
            lines = [
                json.dumps({"step": step, "images_per_second": rate})
                for step, rate in rates.items()
            ]
            (folder / "metrics.jsonl").write_text("\n".join(lines) + "\n")
        elif words[0] == "eval.py":
            folder = Path(flags["--eval_logdir"])
            folder.mkdir(parents=True)
            (folder / image_counts.FILE).write_text("")
            (folder / "metrics.json").write_text(json.dumps(SCORES))
        else:
            folder = Path(flags["--output_dir"])
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "compare.csv").write_text(
                "first,second,kind,name,difference,low,high,p\n"
                f"{words[3]},{words[4]},mean,mIoU,0.1,-0.1,0.2,0.5\n"
                f"{words[3]},{words[4]},class,Sky,0.3,-0.1,0.4,0.5\n"
            )

    monkeypatch.setattr(ablations, "_command", command)
    return commands


def config(folder, **settings):
    return ablations.AblationsConfig(
        dataset_dir="records", output_dir=str(folder), **settings
    )


def test_each_is_timed_trained_evaluated_and_compared(called, tmp_path):
    settings = {"names": ("plain", "decoder"), "tf_initial_checkpoint": "weights"}
    ablations.run(config(tmp_path, minutes=2, **settings))
    kinds = [words[0] for words in called]
    assert kinds == [
        *2 * ["train.py", "train.py", "eval.py"],
        *4 * ["eval.py"],
        "-m",
        "-m",
    ]
    trial, training = called[:2]
    assert {"--recipe=ablations/plain", "--tf_initial_checkpoint=weights"} <= {*trial}
    assert "--training_number_of_steps=60" in trial
    # Half a second a step, two minutes.
    assert "--training_number_of_steps=240" in training
    assert f"--train_logdir={tmp_path / 'runs' / 'plain'}" in training
    pair, looks = called[-2:]
    assert pair[3:5] == tuple(str(tmp_path / "evals" / n) for n in ("plain", "decoder"))
    assert len(looks) == 3 + 1 + len(ablations.LOOKS) + 1
    summary = json.loads((tmp_path / "ablations.json").read_text())
    plain = {key: value for key, value in SCORES.items() if key != "kappa"}
    training = {"minutes": 2, "seconds_a_step": 0.5, "steps": 240}
    # Ten steps each at 1, 2, 8, 8 and 7 images a second, four images a step.
    seconds = 10 * 4 * (1 + 1 / 2 + 1 / 8 + 1 / 8 + 1 / 7)
    taken = summary["networks"]["plain"].pop("minutes_taken")
    assert taken == pytest.approx(seconds / 60)
    assert summary["networks"]["plain"] == training | plain
    assert summary["networks"]["decoder_crf"] == plain
    change = {"difference": 0.1, "low": -0.1, "high": 0.2, "p": 0.5}
    assert summary["compared"] == [
        {"first": "plain", "second": "decoder", **change},
        {"first": "decoder", "second": "decoder_stride8", **change},
    ]

    called.clear()
    ablations.run(config(tmp_path, minutes=2, **settings))
    # Trainings that are at their end say so by themselves.
    assert [words[0] for words in called] == ["train.py", "train.py", "-m", "-m"]
    with pytest.raises(FlagError, match=r"--minutes=3: .*plain\.json was made with 2;"):
        ablations.run(config(tmp_path, minutes=3, **settings))


def test_those_from_random_weights_take_no_checkpoint(called, tmp_path):
    names = ("fcn8s", "multi_grid")
    ablations.run(config(tmp_path, names=names, tf_initial_checkpoint="weights"))
    assert not [words for words in called if "--tf_initial_checkpoint=weights" in words]


def test_a_command_that_fails_ends_it(tmp_path):
    with pytest.raises(InputError, match=r"^-c exit\(3\): ended with 3$"):
        ablations._command("-c", "exit(3)")


def test_an_unknown_name_is_told(tmp_path):
    with pytest.raises(FlagError, match="--names=unett: did you mean unet"):
        config(tmp_path, names=("unett",))
    with pytest.raises(FlagError, match="--minutes"):
        config(tmp_path, minutes=0)
