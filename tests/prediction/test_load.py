"""Which checkpoints are used, and waiting for them."""

import itertools
import shutil

import numpy as np
import pytest

from deeplab_tf.config import DataConfig, EvalConfig, ModelConfig, VisConfig
from deeplab_tf.config.fields import Overrides
from deeplab_tf.errors import InputError
from deeplab_tf.prediction import load
from tests.trained import write_run


def test_one_round_takes_what_is_there_and_waits_for_nothing(run, tmp_path):
    assert list(load.iterate_checkpoints(str(run), 1, 0)) == [
        str(run / "model.ckpt-100")
    ]
    with pytest.raises(InputError, match="no checkpoint in this folder"):
        list(load.iterate_checkpoints(str(tmp_path), 1, 0))


@pytest.mark.parametrize("count", [0, -1])
def test_iterating_without_number_goes_on_with_each_newer_checkpoint(
    run, tmp_path, monkeypatch, count
):
    """The checkpoints come while it sleeps."""
    steps = iter((5, 10, 15))

    def sleep(seconds):
        assert seconds == 7
        step = next(steps)
        for path in run.glob("model.ckpt-100.*"):
            shutil.copy(path, tmp_path / path.name.replace("-100.", f"-{step}."))

    monkeypatch.setattr(load.time, "sleep", sleep)
    prefixes = itertools.islice(load.iterate_checkpoints(str(tmp_path), count, 7), 3)
    assert [path.rsplit("-", 1)[1] for path in prefixes] == ["5", "10", "15"]


def test_a_checkpoint_that_is_a_file_is_not_waited_for(run):
    prefix = str(run / "model.ckpt-100")
    assert list(load.iterate_checkpoints(f"{prefix}.index", 3, 0)) == [prefix]


@pytest.mark.parametrize("record", [EvalConfig, VisConfig])
def test_a_command_may_predict_in_half_precision(run, shapes, record, rng):
    """Weights and scores stay float32; of noise, few pixels change their class."""
    image = rng.integers(0, 256, (65, 65, 3), np.uint8)
    folder = {"eval_logdir": "-"} if record is EvalConfig else {"vis_logdir": "-"}
    data = DataConfig(dataset_dir=str(shapes))
    found = []
    for precision in ("float32", "mixed_bfloat16"):
        config = record(
            checkpoint_dir=str(run), precision=precision, data=data, **folder
        )
        predictor, _ = load.load_with_records(
            str(run), config, split="val", crop_size=None
        )
        layer, *_ = (x for x in predictor.model.layers if hasattr(x, "kernel"))
        assert (layer.compute_dtype, layer.kernel.dtype) == (
            precision.removeprefix("mixed_"),
            "float32",
        )
        assert predictor.model.output.dtype == "float32"
        found.append(predictor.predict(image).classes)
    assert np.mean(found[0] == found[1]) > 0.8


def test_another_output_stride_tells_of_rates_that_stay(tmp_path, shapes, caplog):
    learned = ModelConfig(depth_multiplier=0.25, output_stride=16, atrous_rates=(2, 3))
    folder = str(write_run(tmp_path, shapes, learned))

    def warned(**given):
        caplog.clear()
        load.load(folder, model=Overrides(ModelConfig(), given))
        return [message for message in caplog.messages if "atrous rates" in message]

    assert not warned()
    assert not warned(output_stride=8, atrous_rates=(4, 6))
    (told,) = warned(output_stride=8)
    assert "at 16: its atrous rates stay 2,3; --atrous_rates=4,6 would" in told
