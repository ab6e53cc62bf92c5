"""What a person at a terminal sees of a run, and what becomes of a run whose reader goes away."""

import os
import pty
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress

import pytest

from tests.harness.home import Home

pytestmark = pytest.mark.prove
HIDE_CURSOR, SHOW_CURSOR = b"\x1b[?25l", b"\x1b[?25h"
CTRL_C = b"\x03"


def test_a_terminal_shows_which_asset_is_being_made_and_is_left_clean_by_an_interruption(
    landed_home: Home, copied: Callable[[Home], Home]
) -> None:
    home = copied(landed_home)
    child, terminal = pty.fork()
    if child == 0:
        os.execve(sys.executable, command("retrain", "shop"), home.environment | {"TERM": "xterm", "COLUMNS": "120"})
    output = read_until(terminal, b"preprocessed_splits ...")
    os.write(terminal, CTRL_C)
    output += read_until(terminal, b"")
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 130
    assert output.count(HIDE_CURSOR) == output.count(SHOW_CURSOR) >= 2
    assert b"Traceback" not in output
    assert b"Interrupted. What was published stays; run the same command to continue." in output


def test_a_run_goes_on_when_nobody_reads_what_it_prints(landed_home: Home, copied: Callable[[Home], Home]) -> None:
    home = copied(landed_home)
    with subprocess.Popen(command("retrain", "shop"), env=home.environment, stdout=subprocess.PIPE) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == b"Running shop_retrain ...\n"
        run.stdout.close()
        run.wait(home.patience)
    assert home.champion is not None


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "churn_assets.cli", *arguments]


def read_until(terminal: int, words: bytes) -> bytes:
    """Return what a terminal shows until it shows some words, or until its end for no words."""
    output = b""
    with suppress(OSError):  # the end of a terminal on Linux
        while not words or words not in output:
            piece = os.read(terminal, 65_536)
            if not piece:
                break
            output += piece
    return output
