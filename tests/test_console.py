"""What a terminal shows of a command: lines, and below them bars."""

import fcntl
import os
import shlex
import struct
import sys
import termios

import pytest
from absl import logging

from deeplab_tf import cli, console, flags

END = "\0"


@pytest.fixture
def terminal(monkeypatch):
    """A function of rows and columns: standard error becomes such a terminal.

    It returns one that gives the lines on its screen.
    """
    opened = []

    def open_terminal(rows, columns):
        master, slave = os.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))
        stream = os.fdopen(slave, "w")
        opened.append((master, stream))
        monkeypatch.setattr(sys, "stderr", stream)

        def read_screen():
            stream.write(END)  # A terminal hands on what is written in parts.
            stream.flush()
            output = b""
            while END.encode() not in output:
                output += os.read(master, 1 << 16)
            return screen(output.decode().replace(END, ""))

        return read_screen

    yield open_terminal
    monkeypatch.undo()
    for master, stream in opened:
        stream.close()
        os.close(master)


def screen(output):
    """Lines of a terminal after what was written to it: returns, up and overwriting."""
    lines, row, column = [""], 0, 0
    for character in output.replace("\x1b[A", "\v"):
        if character == "\v":
            row -= 1
        elif character == "\r":
            column = 0
        elif character == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        else:
            line = lines[row].ljust(column)
            lines[row] = line[:column] + character + line[column + 1 :]
            column += 1
    return [line.rstrip() for line in lines]


def say():
    """A command of two steps with a table between them."""
    flags.flags.FLAGS.mark_as_parsed()
    with console.bar(total=2, unit="step", mininterval=0) as bar:
        logging.info("Loss of the first step: 1.7642")
        bar.update()
        with console.bar(total=3, unit="image", mininterval=0, leave=False) as inner:
            inner.update()
            logging.info(" id  class   IoU %\n  0  ground  60.00")
        bar.update()
        logging.warning("slow")
    logging.info("done")


LINES = [
    "Loss of the first step: 1.7642",
    " id  class   IoU %",
    "  0  ground  60.00",
    "WARNING: slow",
]


def test_lines_and_bars_of_a_terminal_keep_clear_of_each_other(terminal):
    read_screen = terminal(24, 80)
    assert cli.exit_code_of(say) == 0
    shown = read_screen()
    assert shown[:4] == LINES
    assert shown[4].startswith("100%|")
    assert "2/2" in shown[4]
    assert shown[5:] == ["done", ""]


def test_the_line_of_an_error_keeps_clear_of_a_bar(terminal):
    read_screen = terminal(24, 80)

    open_bars = []

    def fail():
        open_bars.append(console.bar(total=2, mininterval=0))
        raise OSError(28, "No space left on device", "run/x")

    assert cli.exit_code_of(fail) == 1
    open_bars[0].close()
    assert read_screen()[0] == "ERROR: run/x: No space left on device"


@pytest.mark.parametrize("size", [(0, 0), (0, 80), (24, 0)])
def test_a_terminal_without_a_size_shows_lines(terminal, size):
    read_screen = terminal(*size)
    cli.exit_code_of(say)
    assert read_screen() == [*LINES, "done", ""]


def test_what_is_no_terminal_shows_lines(capsys):
    cli.exit_code_of(say)
    assert capsys.readouterr().err.splitlines() == [*LINES, "done"]


def test_a_further_command_is_called_as_this_one_was(tmp_path, monkeypatch):
    for name in ("train.py", "eval.py"):
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["train.py", "--seed=1"])
    line = console.command_line("eval", checkpoint_dir="my run", eval_crop_size=None)
    python, *words = shlex.split(line)
    assert words == ["eval.py", "--checkpoint_dir=my run"]
    assert os.path.samefile(python if "/" in python else sys.executable, sys.executable)
    monkeypatch.setattr(sys, "argv", ["/usr/bin/deeplab-train"])
    assert console.command_line("vis", image="a.jpg") == "deeplab-vis --image=a.jpg"
    monkeypatch.setattr(sys, "argv", ["/x/ipykernel_launcher.py"])
    assert console.command_line("vis") == "deeplab-vis"
