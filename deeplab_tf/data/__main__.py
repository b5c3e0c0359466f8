"""`python -m deeplab_tf.data check DIR`, which `deeplab_tf.dataset_report` does."""

import sys

from deeplab_tf import cli
from deeplab_tf.dataset_report.__main__ import CheckConfig, name_folder, run


def main() -> None:
    """`python -m deeplab_tf.data`."""
    arguments = sys.argv[1:]
    words = [word for word in arguments if not word.startswith("-")]
    if arguments[:1] == ["check"]:
        arguments = name_folder(arguments[1:])
    elif not arguments or words == arguments[:1]:
        given = f"{words[0]}: a folder alone" if words else "nothing is asked for"
        line = f"{given}; write deeplab-data check {words[0] if words else 'records'}"
        sys.exit(cli.print_error(line, exit_code=2))
    cli.run(CheckConfig, run, argv=[sys.argv[0], *arguments])


if __name__ == "__main__":
    main()
