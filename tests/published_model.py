"""A model of `shop` that is published as its step publishes one, and made the champion, without a retrain."""

import tempfile
from pathlib import Path

from churn_model.models.bundle import Bundle, write_bundle
from churn_model.models.bundle_file import BUNDLE
from churn_model.reports.step_report import PublishedFile
from resources.catalog.digests import digest_of
from resources.catalog.names import TUNED_MODEL, champion_key, version_prefix
from resources.catalog.pointers import Champion, read_pointer, to_bytes
from resources.ports.lake import Lake, Manifest


def publish_model(lake: Lake, bundle: Bundle, content: bytes | None = None) -> str:
    """Publish a model under its version, `content` in the place of its bundle. Return its prefix."""
    prefix = version_prefix("shop", TUNED_MODEL, bundle.version)
    if content is None:
        with tempfile.TemporaryDirectory() as folder:
            write_bundle(bundle, Path(folder) / BUNDLE)
            content = (Path(folder) / BUNDLE).read_bytes()
    lake.put(prefix + BUNDLE, content)
    lake.publish(prefix, Manifest(bundle.version, {BUNDLE: PublishedFile(len(content), digest_of(content))}))
    return prefix


def publish_champion(lake: Lake, bundle: Bundle, content: bytes | None = None) -> None:
    """Publish a model, and make it the champion."""
    prefix = publish_model(lake, bundle, content)
    champion = Champion(bundle.version, prefix, "evaluation", "2026-01-01T00:00:00+00:00", "promoted", "better")
    key = champion_key("shop")
    lake.swap(key, read_pointer(lake, key), to_bytes(champion))
