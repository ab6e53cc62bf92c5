"""What Dagster knows of landed data: reports of its content, by which it shows that what was made of it is old."""

from collections.abc import Mapping

import dagster as dg
from dagster._core.definitions.data_version import DATA_VERSION_TAG, get_input_data_version_tag

from resources.catalog.landing import fingerprint_of


def report_landed(key: dg.AssetKey, contents: Mapping[str, str]) -> dg.AssetMaterialization:
    """Return the event that reports landed files, whose contents are given by key, as the present version of an external asset."""
    tags = {DATA_VERSION_TAG: fingerprint_of(contents)}
    return dg.AssetMaterialization(key, tags=tags, metadata={"files": len(contents)})


def made_from_landed(key: dg.AssetKey, contents: Mapping[str, str]) -> dict[str, str]:
    """Return the tags of a materialization that was made from these contents, whatever was reported last when its step began."""
    return {get_input_data_version_tag(key): fingerprint_of(contents)}
