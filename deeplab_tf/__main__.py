"""Lists the commands: `python -m deeplab_tf`; `--version` tells what runs here."""

import argparse
import sys

from deeplab_tf import cli, noise

_COMMANDS = {
    "python train.py, deeplab-train": "trains a network on records",
    "python eval.py, deeplab-eval": "scores a network on the records of a split",
    "python vis.py, deeplab-vis": "draws what a network predicts",
    "python export.py, deeplab-export": "writes a SavedModel or a frozen graph",
    "python -m deeplab_tf.data check DIR": "reads all records, and tells what is wrong",
    "python -m deeplab_tf.models": "lists networks, with their sizes",
    "python -m deeplab_tf.checkpoints": "inspects checkpoints, and converts them",
    "python datasets/build_*_data.py": "make records, in a checkout",
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
