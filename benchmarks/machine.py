"""What a benchmark ran on."""

import os
import platform
from pathlib import Path
from typing import Any


def machine() -> str:
    """The processor's name, its cores, the system and Python."""
    names: list[str] = []
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [
            line.partition(":")[2].strip() for line in info.read_text().splitlines() if line.startswith("model name")
        ]
    facts: list[Any] = [
        names[0] if names else platform.processor(),
        f"{os.cpu_count()} cores",
        platform.system(),
        platform.python_version(),
    ]
    return ", ".join(map(str, facts))
