"""Score a batch, whole or part by part, with the bundle and the policy that a step or a server was given."""

import io
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from churn_model.decisions.policy import Policy
from churn_model.features.batch_columns import describe_batch, find_differences
from churn_model.features.encoding import encode, unknown_levels
from churn_model.models.bundle import Bundle, read_bundle
from churn_model.models.reasons import REASONS, make_explainer, weigh_features
from churn_model.prefetch import prefetch
from churn_model.reports.scored_part import ScoredPart
from churn_model.scoring import mark_provisional, prediction_schema, score
from churn_model.spec.column_names import same_name
from churn_model.spec.dataset import Dataset
from churn_model.tables import TableReader

_Block = tuple[pa.Table, bool, Counter[str]]


class BatchScorer:
    """Scores tables of canonical rows.

    bundle    file of the model
    dataset   the spec as step `score` may see it: today's costs, words and groups
    request   of the step: its `version`, `threads`, and `provisional: yes` for a model that the gate refused
    """

    def __init__(self, bundle: Path, dataset: Dataset, request: Mapping[str, Any]) -> None:
        self._threads = int(request["threads"])
        self._version = str(request["version"])
        self._is_provisional = request.get("provisional") == "yes"
        self._bundle = read_bundle(bundle, threads=self._threads)
        self._policy = Policy(dataset.costs)
        self._explainer = make_explainer(
            self._bundle.schema, self._bundle.model.family, words=dataset.words, groups=dataset.groups
        )

    def score(
        self, source: TableReader, write: Callable[[pa.Table], None], *, digest: str = "", overlap: bool = True
    ) -> ScoredPart:
        """Score a table block by block, pass each block's predictions to `write` in order, and return what is known of them.

        overlap  one thread reads, one scores, this one writes; without, all in this thread
        digest   of the part as it was read
        """
        schema = prediction_schema(source.schema)
        written, contacted, same_ids, probability, saving = 0, 0, True, 0.0, 0.0
        unknown: Counter[str] = Counter()
        blocks = self._overlapped(source) if overlap else map(self._score_block, source.blocks())
        for predictions, has_same_ids, of_block in blocks:
            write(mark_provisional(predictions) if self._is_provisional else predictions)
            chosen = predictions["will_churn"].to_numpy()
            written += predictions.num_rows
            contacted += int(chosen.sum())
            same_ids = same_ids and has_same_ids
            probability += float(predictions["churn_probability"].to_numpy().sum())
            saving += float(predictions["expected_saving"].to_numpy()[chosen].sum())
            unknown += of_block
        return ScoredPart(
            version=self._version,
            source=digest,
            rows=source.rows,
            written=written,
            contacted=contacted,
            same_ids=same_ids,
            probability=probability,
            saving=saving,
            unknown=unknown,
            usual={name: self._bundle.schema.feature(name).rare for name in unknown},
            differences=self._find_differences(source),
            model_version=self._bundle.version,
            columns={field.name: str(field.type) for field in schema},
            lineage=_lineage(self._bundle, self._policy, source.schema.names),
        )

    def _overlapped(self, source: TableReader) -> Iterator[_Block]:
        return prefetch(map(self._score_block, prefetch(source.blocks(), 1)), 1)

    def _score_block(self, block: pa.RecordBatch) -> _Block:
        """Return a block's predictions, whether they have its ids in its order, and its values that training did not know."""
        predictions = score(block, self._bundle, self._policy, self._explainer, threads=self._threads)
        same_ids = predictions["id"].combine_chunks().equals(block.column("_id").cast("string"))
        return predictions, same_ids, unknown_levels(block, self._bundle.schema)

    def _find_differences(self, source: TableReader) -> dict[str, str]:
        """Return how the first rows, a random sample since rows are in hash order, differ from those of training."""
        bundle = self._bundle
        with suppress(StopIteration):
            sample = next(source.blocks())
            canaries = encode(bundle.canary.rows, bundle.schema, bundle.model.family)
            weights = weigh_features(canaries, bundle.model, self._explainer)
            return find_differences(describe_batch(sample, bundle.schema), sample.num_rows, bundle.schema, weights)
        return {}


def score_part(scorer: BatchScorer, part: bytes) -> bytes:
    """Return the predictions of a part of a table, both as Parquet files. Raise ChurnError if the part is none, or its rows do not fit."""
    source = TableReader([lambda: io.BytesIO(part)])
    schema = prediction_schema(source.schema)
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(sink, schema, compression="zstd", use_dictionary=repeated_columns(schema)) as writer:
        scored = scorer.score(
            source,
            lambda predictions: writer.write_table(predictions, row_group_size=max(1, predictions.num_rows)),
            digest=blake2b(part, digest_size=16).hexdigest(),
            overlap=False,
        )
        writer.add_key_value_metadata(scored.to_footer())
    return bytes(sink.getvalue())


def repeated_columns(schema: pa.Schema) -> list[str]:
    """Return the columns of predictions whose values repeat: a dictionary of the others would be built and thrown away."""
    return [name for name in schema.names if name not in ("id", "churn_probability", "expected_saving")]


def _lineage(bundle: Bundle, policy: Policy, landed: list[str]) -> dict[str, tuple[str, ...]]:
    """Return the landed columns that each column of the predictions is made of."""
    features = tuple(bundle.schema.required)
    worth = policy.costs.value_column
    needed = features if worth is None else (*(name for name in features if not same_name(name, worth)), worth)
    as_of = {"as_of": ("_as_of",)} if "_as_of" in landed else {}
    reasons = {f"reason_{rank}": features for rank in range(1, REASONS + 1)}
    return {
        "id": ("_id",),
        **as_of,
        "churn_probability": features,
        "will_churn": needed,
        "expected_saving": needed,
        **reasons,
    }
