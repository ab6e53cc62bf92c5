"""Files as people have them, made by a generator: what churn new writes a spec for, landing takes whole."""

import codecs
import tempfile
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from churn_assets.onboarding.spec_text import propose
from churn_model.ingest.canonical_rows import ingest
from churn_model.ingest.formats.base import LandedFile
from churn_model.steps.ingest import check_ingested
from resources.specs.loader import load_spec

FLAGS = [
    ("yes", "no"),
    ("TRUE", "FALSE"),
    ("t", "f"),
    ("1", "0"),
    ("1.0", "0.0"),
    ("Ja", "Nein"),
    ("WAHR", "FALSCH"),
    ("oui", "non"),
]
MISSING = ["", "-", "?", r"\N", "#N/A", "NULL", "."]
ENCODINGS = {"utf-8": b"", "utf-8-sig": b"", "utf-16-le": codecs.BOM_UTF16_LE, "cp1252": b""}
IDS = ["C{:05d}", "{}", "{}.0", "A-{}-Z"]
DAYS = ["2024-{:02d}-01", "2024-{:02d}", "2024{:02d}", "01.{:02d}.2024"]
CUSTOMERS, MONTHS = 90, 3


@settings(max_examples=12, deadline=None, derandomize=True)
@given(
    panel=st.booleans(),
    flag=st.sampled_from(FLAGS),
    label=st.sampled_from(FLAGS),
    missing=st.sampled_from(MISSING),
    encoding=st.sampled_from(list(ENCODINGS)),
    id_=st.sampled_from(IDS),
    day=st.sampled_from(DAYS),
    separator=st.sampled_from(",;\t"),
    second=st.booleans(),
)
def test_landing_takes_each_row_of_a_file_that_churn_new_describes(
    panel: bool,
    flag: tuple[str, str],
    label: tuple[str, str],
    missing: str,
    encoding: str,
    id_: str,
    day: str,
    separator: str,
    second: bool,
) -> None:
    rng = np.random.default_rng(11)
    rows = [
        separator.join(
            (
                id_.format(1000 + customer),
                day.format(month),
                str(rng.integers(0, 90)) if rng.random() > 0.1 else missing,
                str(rng.choice(["Málaga", "Köln", "Nice"])),
                flag[int(rng.random() < 0.5)],
                label[int(rng.random() < 0.6)],
            )
        )
        for customer in range(CUSTOMERS)
        for month in range(1, 1 + (MONTHS if panel else 1))
    ]
    header = separator.join(("customer_id", "month", "calls", "town", "paperless", "churned"))
    if second:
        header += "\n" + separator.join(("key", "of the row", "how many", "where from", "yes or no", "yes or no"))
    with tempfile.TemporaryDirectory() as folder:
        file, spec = Path(folder) / "customers.csv", Path(folder) / "shop.yaml"
        file.write_bytes(ENCODINGS[encoding] + "\n".join([header, *rows, ""]).encode(encoding))
        spec.write_text(propose("shop", file), "utf-8")
        dataset = load_spec(spec)
        assert dataset.id == "customer_id"
        ingested = ingest([LandedFile(file.name, file)], dataset, Path(folder) / "out", expected=None)
        assert [check for check in check_ingested(ingested) if not check.passed] == []
        assert (ingested.rows, ingested.quarantined) == (len(rows), 0)
