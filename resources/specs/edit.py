"""Change one value in the file of a spec. Everything else stays as it was written: comments, order, style."""

import stat
from pathlib import Path

import yaml

from churn_model.errors import SpecError, problem
from resources.durable import replace_file

_BOM = "\ufeff"


def replace_number(path: Path, steps: tuple[str, ...], value: int) -> None:
    """Write a whole number in the place of the value at `steps`, such as ("list", "capacity").

    Raise SpecError if the file has no single value there.
    """
    text = path.read_bytes().decode("utf-8")
    mark = _BOM if text.startswith(_BOM) else ""
    text = text.removeprefix(_BOM)
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    for step in steps:
        pairs = node.value if isinstance(node, yaml.MappingNode) else ()
        node = next((found for key, found in pairs if key.value == step), None)
    if not isinstance(node, yaml.ScalarNode):
        place = ".".join(steps)
        raise SpecError(problem(expected=f"a value of {place} in {path.name}", found="none", todo="write it"))
    changed = f"{mark}{text[: node.start_mark.index]}{value}{text[node.end_mark.index :]}".encode()
    replace_file(path, lambda stream: stream.write(changed), mode=stat.S_IMODE(path.stat().st_mode))
