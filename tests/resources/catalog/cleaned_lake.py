"""A lake in which every kind of pointer names something, and something of each kind is named by none."""

from datetime import UTC, datetime, timedelta

from churn_model.reports.step_report import PublishedFile
from resources.catalog.decisions import Decision, record_decision
from resources.catalog.digests import digest_object
from resources.catalog.ledger import Entry, Ledger
from resources.catalog.names import batch_key, champion_key, current_key, ledger_key
from resources.catalog.pointers import BatchRecord, Champion, Current, to_bytes
from resources.ports.lake import Lake, Manifest

SOON = datetime.now(UTC) + timedelta(days=1)


def publish(lake: Lake, prefix: str, **upstream: str) -> str:
    """Publish a version of one file. Return its prefix."""
    lake.put(prefix + "a", b"12345")
    file = PublishedFile(5, digest_object(lake, prefix + "a"))
    lake.publish(prefix, Manifest(prefix.split("/")[-2], {"a": file}, upstream))
    return prefix


NAMED = (
    "tuned_model/champion",
    "tuned_model/before",
    "tuned_model/refused",
    "evaluation_report/now",
    "evaluation_report/old",
    "model_comparison/old",
    "preprocessed_splits/now",
    "evaluation_page/now",
    "raw_batch/b/rows",
    "batch_predictions/b/now",
    "retention_list/b/now",
    "retention_list/b/listed",
    "list_layout/b/now",
    "batch_page/b/now",
    "shadow/b/now",
    "raw_batch/b/viewed",
    "unloaded/now",
)
UNNAMED = (
    "tuned_model/never_judged",
    "preprocessed_splits/old",
    "raw_customers/old",
    "evaluation_page/old",
    "exploration_report/old",
    "raw_batch/b/old",
    "raw_batch/gone/old",
    "batch_predictions/b/old",
    "retention_list/b/old",
    "list_layout/b/old",
    "batch_page/b/old",
    "shadow/b/old",
    "unloaded/old",
)


def make_lake(lake: Lake) -> set[str]:
    """Publish a lake in which every pointer names something. Return the versions that nothing names."""
    named = {name: publish(lake, f"shop/{name}/") for name in NAMED}
    named["raw_customers/now"] = publish(lake, "shop/raw_customers/now/", **{"crm.customers": "now"})
    for asset in ("preprocessed_splits", "raw_customers", "evaluation_page"):
        lake.swap(current_key("shop", asset), None, to_bytes(Current("now", named[f"{asset}/now"])))
    for asset in ("batch_predictions", "retention_list", "list_layout", "batch_page", "shadow"):
        lake.swap(current_key("shop", asset, "b"), None, to_bytes(Current("now", named[f"{asset}/b/now"])))
    model, evaluation = named["tuned_model/champion"], named["evaluation_report/now"]
    lake.swap(
        champion_key("shop"), None, to_bytes(Champion("champion", model, evaluation, "2026-01-01", "promoted", ""))
    )
    for version, outcome in (("before", "first"), ("refused", "refused"), ("champion", "promoted")):
        record_decision(lake, "shop", Decision(version, "now", outcome, "", "2026-01-01", {}))
    record = BatchRecord("b", "f", "l", "2026-01-01", Current("rows", named["raw_batch/b/rows"]), Current("m", model))
    lake.swap(batch_key("shop", "b"), None, to_bytes(record))
    entry = Entry("b", "listed", named["retention_list/b/listed"], "", "2026-01-01T00:00:00+00:00")
    lake.swap(ledger_key("shop"), None, Ledger((entry,)).to_json())
    return {publish(lake, f"shop/{name}/") for name in UNNAMED}
