"""Land the sample in a lake as a user would, with its truth beside the lake, never in it."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from churn_assets.sample.files import write_sample
from churn_assets.sample.generator import Generator
from resources.ports.lake import Lake

DATASET = "sample"


def land_sample(lake: Lake, truth: Path, *, rows: int, seed: int) -> Iterator[str]:
    """Land training data and one batch; a line for each file. The truth goes to `truth`."""
    with tempfile.TemporaryDirectory() as made:
        files = write_sample(Path(made) / "landing", Path(made) / "truth", rows=rows, generator=Generator(seed=seed))
        for file in files:
            if file.kind == "truth":
                truth.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file.path, truth / file.path.name)
                yield f"{file.rows:>9,} rows of truth, for judging only, in {truth / file.path.name}"
            else:
                key = f"landing/{DATASET}/{file.path.relative_to(Path(made) / 'landing').as_posix()}"
                lake.put(key, file.path)
                yield f"{file.rows:>9,} rows to {'train on' if file.kind == 'train' else f'score as batch {file.batch}'} in {lake.uri(key)}"
