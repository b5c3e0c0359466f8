"""Lists the commands: `python -m deeplab_tf`; `--version` tells what runs here."""

import argparse
import sys

from deeplab_tf import cli, noise

_COMMANDS = {
    "python train.py, deeplab-train": "trains a network on records",
    "python eval.py, deeplab-eval": "scores a network on the records of a split",
    "python vis.py, deeplab-vis": "draws what a network predicts",
    "python export.py, deeplab-export": "writes a SavedModel or a frozen graph",
    "deeplab-web --model=run": "opens a page: drop a photograph, see its classes",
    "deeplab-predict": "predicts any number of pictures, by an export or a network",
    "python -m deeplab_tf.runtime": "predicts a picture by an export",
    "python -m deeplab_tf.evaluation": "compares evaluations: compare A B",
    "python -m deeplab_tf.runs FOLDER": "lists runs: how far, how good, what differs",
    "deeplab-data check DIR": "reads all records, and tells what is wrong",
    "python -m deeplab_tf.models": "lists networks, with their sizes",
    "python -m deeplab_tf.checkpoints": "inspects and converts checkpoints; the zoo",
    "deeplab-build-folder": "makes records of your own photographs and masks",
    "deeplab-build-voc": "makes records of PASCAL VOC 2012, with SBD",
    "deeplab-build-cityscapes": "makes records of Cityscapes",
    "deeplab-build-ade20k": "makes records of ADE20K",
    "deeplab-build-camvid": "makes records of CamVid",
    "deeplab-build-pascal-context": "makes records of PASCAL-Context",
    "deeplab-build-person-part": "makes records of PASCAL-Person-Part",
    "deeplab-build-tfds": "makes records of what TensorFlow Datasets has prepared",
    "deeplab-build-shapes": "makes records of drawn shapes, to try things out",
}


def main(arguments: list[str]) -> int:
    """Prints what was asked for; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m deeplab_tf",
        description="\n".join(f"{name:37}{what}" for name, what in _COMMANDS.items()),
        epilog="Each takes --help; docs/api.md is on the use from Python.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--version",
        action="store_true",
        help="versions, operating system and devices: what a report of a bug needs",
    )
    if parser.parse_args(arguments).version:
        return cli.exit_code_of(_print_versions)
    parser.print_help()
    return 0


def _print_versions() -> None:
    noise.load_tensorflow()
    from deeplab_tf.checkpoints import run_folder  # TensorFlow: the list is instant.

    lines = run_folder.environment().items()
    sys.stdout.writelines(f"{name}: {value}\n" for name, value in lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
