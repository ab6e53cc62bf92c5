import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from churn_model.errors import ChurnError
from resources.file_locks import hold, is_held, open_lock, try_lock

HOLDER = "import sys, fcntl; lock = open(sys.argv[1], 'a'); fcntl.flock(lock, fcntl.LOCK_EX); print('held', flush=True); input()"


def test_a_lock_is_held_until_its_process_dies_however_it_dies(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    assert is_held(path)
    with path.open("a") as lock:
        assert not try_lock(lock)
    process.kill()
    process.communicate()
    assert not is_held(path)
    with path.open("a") as lock:
        assert try_lock(lock)
        assert is_held(path)


def test_asking_whether_a_lock_is_held_neither_takes_nor_makes_it(tmp_path: Path) -> None:
    assert not is_held(tmp_path / "none")
    assert list(tmp_path.iterdir()) == []
    with (tmp_path / "lock").open("a") as lock:
        assert not is_held(tmp_path / "lock")
        assert try_lock(lock)


def test_threads_wait_for_each_other(tmp_path: Path) -> None:
    order = []

    def wait() -> None:
        with hold(tmp_path / "lock"):
            order.append("second")

    with hold(tmp_path / "lock"):
        waiting = threading.Thread(target=wait)
        waiting.start()
        waiting.join(0.2)
        assert waiting.is_alive()
        order.append("first")
    waiting.join()
    assert order == ["first", "second"]


def test_a_named_pipe_in_place_of_a_lock_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "lock")
    for use in (open_lock, is_held, lambda path: hold(path).__enter__()):
        with pytest.raises(ChurnError, match=r"Expected a file as the lock .*lock; found something else\. Remove it\."):
            use(tmp_path / "lock")
