"""The history of decisions as a JSON-lines file a dataset."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from resources.errors import RegistryError
from resources.file_locks import hold
from resources.ports.registry import ModelRecord, Registry


class LocalRegistry(Registry):
    """`<folder>/<dataset>.jsonl`, one decision a line."""

    folder: str

    def record(self, dataset: str, record: ModelRecord) -> None:
        folder = Path(self.folder)
        folder.mkdir(parents=True, exist_ok=True)
        with hold(folder / f".{dataset}.lock"):
            known = self._records(dataset)
            if not any(_same(record, other) for other in known[-1:]):
                lines = [json.dumps(asdict(each), sort_keys=True, ensure_ascii=False) for each in (*known, record)]
                partial = folder / f".{dataset}.partial"
                partial.write_text("\n".join(lines) + "\n", "utf-8")
                partial.replace(folder / f"{dataset}.jsonl")

    def approved(self, dataset: str) -> Sequence[ModelRecord]:
        return [record for record in self._records(dataset) if record.is_approved]

    def _records(self, dataset: str) -> list[ModelRecord]:
        path = Path(self.folder) / f"{dataset}.jsonl"
        if not path.exists():
            return []
        try:
            return [ModelRecord(**json.loads(line)) for line in path.read_text("utf-8").splitlines()]
        except (ValueError, TypeError) as error:
            raise RegistryError(
                f"expected one decision as JSON a line in {path}; found something else ({error}); restore the file"
            ) from error


def _same(a: ModelRecord, b: ModelRecord) -> bool:
    return (a.version, a.evaluation, a.outcome) == (b.version, b.evaluation, b.outcome)
