"""Counters for Prometheus, summed over all workers, also over those that died.

With `PROMETHEUS_MULTIPROC_DIR` in the environment of a process before this is imported, each worker's counters are a file there.
"""

import os

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest, multiprocess
from prometheus_client.registry import REGISTRY

from churn_model.serving.shadow import Shadow

FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

REQUESTS = Counter("churn_requests", "Requests to /invocations, by the status of the answer.", ["status"])
ROWS = Counter("churn_rows", "Rows asked for, by what became of them.", ["outcome"])
SECONDS = Histogram(
    "churn_request_seconds",
    "Time from a whole body to its answer.",
    buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30),
)
SWAPS = Counter("churn_swaps", "Models and specs that took the place of earlier ones, in each worker.")
LOAD_FAILURES = Counter(
    "churn_load_failures", "Models and specs that could not be loaded; the earlier ones went on answering."
)
SHADOW_ROWS = Counter(
    "churn_shadow_rows", "Rows that both models scored, by whom they contact: both, only_champion, ...", ["decision"]
)
SHADOW_AT_STAKE = Counter(
    "churn_shadow_at_stake", "Expected saving or loss, by the champion, of the rows that the models decide otherwise."
)


def count_shadow(shadow: Shadow) -> None:
    """Count what a challenger in the shadow decided."""
    for decision in ("both", "only_champion", "only_challenger", "neither", "unanswered"):
        SHADOW_ROWS.labels(decision).inc(getattr(shadow, decision))
    SHADOW_AT_STAKE.inc(shadow.at_stake)


def collect() -> bytes:
    """Return the counters of all workers as Prometheus reads them."""
    if FOLDER_VARIABLE not in os.environ:
        return generate_latest(REGISTRY)
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)
