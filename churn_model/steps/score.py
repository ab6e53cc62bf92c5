"""Step `score`: a prediction for each row of a batch, row group by row group.

Inputs: `rows` (a published `raw_batch`), `bundle` (the champion resolved for it). Result: table `predictions`.
"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping

import pyarrow as pa

from churn_model.checks import Check
from churn_model.decisions.policy import Policy
from churn_model.features.batch_columns import describe_batch, find_differences
from churn_model.features.encoding import encode, unknown_levels
from churn_model.features.schema import FeatureSchema
from churn_model.models.bundle import Bundle, read_bundle
from churn_model.models.bundle_file import BUNDLE
from churn_model.models.reasons import REASONS, Explainer, make_explainer, weigh_features
from churn_model.prefetch import prefetch
from churn_model.reports.score import ScoreCounts, ScoreReport
from churn_model.reports.step_report import Report
from churn_model.scoring import mark_provisional, prediction_schema, score
from churn_model.spec.column_names import same_name
from churn_model.steps.claims.score import KNOWN_VALUES, LIKE_TRAINING, SCORED_ONCE
from churn_model.steps.contract import Layout
from churn_model.tables import TableReader, TableWriter, open_table

MOST_UNKNOWN = 0.05
"""The share of a batch's rows that may hold a category's value that training did not know; rare values are among them in any batch."""


def step(layout: Layout) -> Report:
    """Score the batch."""
    threads = int(layout.request["threads"])
    bundle = read_bundle(layout.required("bundle") / BUNDLE, threads=threads)
    policy = Policy(layout.dataset.costs)
    explainer = make_explainer(
        bundle.schema, bundle.model.family, words=layout.dataset.words, groups=layout.dataset.groups
    )
    is_provisional = layout.request.get("provisional") == "yes"
    source = open_table(layout.required("rows") / "rows")
    contacted, same_ids, probability, saving = 0, True, 0.0, 0.0
    unknown: Counter[str] = Counter()
    schema = prediction_schema(source.schema)
    with TableWriter(layout.result / "predictions", schema, key="id", dictionaries=_repeated(schema)) as writer:
        # One thread reads, one scores, this one writes.
        for predictions, has_same_ids, of_block in prefetch(
            _scored(prefetch(source.blocks(), 1), bundle, policy, explainer, threads), 1
        ):
            writer.write(mark_provisional(predictions) if is_provisional else predictions)
            same_ids = same_ids and has_same_ids
            unknown += of_block
            chosen = predictions["will_churn"].to_numpy()
            contacted += int(chosen.sum())
            probability += float(predictions["churn_probability"].to_numpy().sum())
            saving += float(predictions["expected_saving"].to_numpy()[chosen].sum())
    written = open_table(layout.result / "predictions").rows
    rows = source.rows
    return Report(
        content=ScoreReport(
            counts=ScoreCounts(rows=written, contacted=contacted),
            metrics={"mean_probability": probability / rows if rows else math.nan, "expected_saving": saving},
            model_version=bundle.version,
            columns={field.name: str(field.type) for field in schema},
            lineage=_lineage(bundle, policy, source.schema.names),
        ),
        checks=[
            SCORED_ONCE.check(
                written == rows and same_ids,
                expected=f"a prediction for each of {rows:,} rows, ids in the same order",
                found=f"{written:,} predictions" + ("" if same_ids else ", other ids"),
                todo="report this: it is a bug",
            ),
            _levels_are_known(unknown, rows, bundle.schema),
            _looks_like_training(source, bundle, explainer),
        ],
    )


def _levels_are_known(unknown: Mapping[str, int], rows: int, schema: FeatureSchema) -> Check:
    strange = {
        name: count for name, count in unknown.items() if count > (MOST_UNKNOWN + schema.feature(name).rare) * rows
    }
    text = "; ".join(
        f"{name}: {count:,} of {rows:,} rows hold a value that training did not know" for name, count in strange.items()
    )
    return KNOWN_VALUES.check(
        not strange,
        expected=f"at most {MOST_UNKNOWN:.0%} more rows than in training with a value that it did not know, in each category",
        found=text or "values that training knew",
        todo="look whether the values are spelled as before; where they are new, retrain: the model takes them for missing",
    )


def _looks_like_training(source: TableReader, bundle: Bundle, explainer: Explainer) -> Check:
    sample = next(source.blocks())
    canaries = encode(bundle.canary.rows, bundle.schema, bundle.model.family)
    weights = weigh_features(canaries, bundle.model, explainer)
    found = find_differences(describe_batch(sample, bundle.schema), sample.num_rows, bundle.schema, weights)
    return LIKE_TRAINING.check(
        not found,
        expected="columns that are filled, spelled and scaled as in training, if they matter to the model",
        found="; ".join(f"{name}: {what}" for name, what in found.items()) or "columns as in training",
        todo="look whether a column was left out, spelled otherwise or written in another unit, and land the batch again; if it is right, "
        "score it with `churn score ... --accept`, or tag the run in the UI with churn/accept: yes",
    )


def _scored(
    batches: Iterator[pa.RecordBatch], bundle: Bundle, policy: Policy, explainer: Explainer, threads: int
) -> Iterator[tuple[pa.Table, bool, Counter[str]]]:
    """Yield each block's predictions, whether they have its ids in its order, and its values that training did not know."""
    for batch in batches:
        predictions = score(batch, bundle, policy, explainer, threads=threads)
        same_ids = predictions["id"].combine_chunks().equals(batch.column("_id").cast("string"))
        yield predictions, same_ids, unknown_levels(batch, bundle.schema)


def _repeated(schema: pa.Schema) -> list[str]:
    """Return the columns whose values repeat: a dictionary of the others would be built and thrown away."""
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
