"""An ECS whose tasks run: moto keeps clusters, task definitions and tasks, and each task is a process on this machine.

A container has nothing of the process that started it: only what its task definition and the overrides give it.
"""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

from moto.ecs.models import EC2ContainerServiceBackend, Task

_PATH = f"{Path(sys.executable).parent}:{os.defpath}"  # of the image
_STOP_SECONDS = 30  # ECS's default between SIGTERM and SIGKILL


@dataclass
class Tasks:
    """The tasks that were started, oldest first, and their processes by ARN. The output of each is a file of `folder`."""

    folder: Path
    started: list[Task] = field(default_factory=list)
    _processes: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    def start(self, task: Task, definition: Mapping[str, Any]) -> None:
        """Run a task's container until its process ends, which is what its status follows."""
        task._transitions = []  # moto's own walk through the statuses
        override = task.overrides["containerOverrides"][0]
        (container,) = [each for each in definition["containerDefinitions"] if each["name"] == override["name"]]
        variables = [*container.get("environment", ()), *override.get("environment", ())]
        with (self.folder / f"{task.id}.log").open("wb") as log:
            process = subprocess.Popen(
                override["command"],
                env={"PATH": _PATH, **{each["name"]: each["value"] for each in variables}},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._processes[task.task_arn] = process
        self.started.append(task)
        threading.Thread(target=self._follow, args=(task, process), daemon=True).start()

    def stop(self, task: Task, code: str, reason: str) -> None:
        """Tell a task's first process to end, as ECS does if somebody stops it or its machine is taken away; after 30 s all of them are killed."""
        task.desired_status, task.stopped_reason = "STOPPED", reason
        task.stop_code = code  # type: ignore[attr-defined]  # moto has none
        process = self._processes[task.task_arn]
        process.send_signal(signal.SIGTERM)
        threading.Thread(target=self._kill_late, args=(process,), daemon=True).start()

    def lose(self, task: Task) -> None:
        """Let a task's machine be gone, without a word to its processes."""
        task.stop_code = "TerminationNotice"  # type: ignore[attr-defined]  # moto has none
        _kill(self._processes[task.task_arn])

    def end_all(self) -> None:
        """End what is left."""
        for process in self._processes.values():
            if process.poll() is None:
                _kill(process)
            process.wait()

    def _follow(self, task: Task, process: "subprocess.Popen[bytes]") -> None:
        code = process.wait()
        _kill(process)  # a container ends with its first process
        task.containers[0].exitCode = 128 - code if code < 0 else code
        task.last_status = "STOPPED"

    def _kill_late(self, process: "subprocess.Popen[bytes]") -> None:
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            _kill(process)


def _kill(process: "subprocess.Popen[bytes]") -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


@contextmanager
def executed_tasks(folder: Path) -> Iterator[Tasks]:
    """Let moto's ECS execute its tasks, and end at the end those that are left."""
    tasks, run = Tasks(folder), EC2ContainerServiceBackend.run_task

    def run_task(self: EC2ContainerServiceBackend, cluster: str, definition: str, *arguments: Any) -> list[Task]:
        made = run(self, cluster, definition, *arguments)
        described = self.describe_task_definition(definition)
        for task in made:
            tasks.start(task, {"containerDefinitions": described.container_definitions})
        return made

    def stop_task(self: EC2ContainerServiceBackend, cluster: str, task: str, reason: str) -> Task:
        (found,) = [each for each in tasks.started if each.task_arn == task]
        tasks.stop(found, "UserInitiated", reason or "Task stopped by user")
        return found

    with (
        patch.object(EC2ContainerServiceBackend, "run_task", run_task),
        patch.object(EC2ContainerServiceBackend, "stop_task", stop_task),
    ):
        try:
            yield tasks
        finally:
            tasks.end_all()
