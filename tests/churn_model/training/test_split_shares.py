"""How many customers are tested, and how a candidate is judged, if the spec leaves it open."""

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest

from churn_model.spec.sections.split import Split
from churn_model.training.split_shares import FOLD_SHARE, choose_for_leavers, choose_shares, suggest_split


def table(leavers: int, stayers: int) -> list[pa.RecordBatch]:
    y = np.repeat([1, 0], [leavers, stayers]).astype(np.int8)
    batches: list[pa.RecordBatch] = pa.table({"_label": y}).to_batches(max_chunksize=97)
    return batches


@pytest.mark.parametrize(
    ("leavers", "test"),
    [(10_000, 0.1), (600, 0.1), (599, 0.15), (400, 0.15), (399, 0.2), (300, 0.2), (299, 0.25), (240, 0.25), (200, 0.3)],
)
def test_about_sixty_leavers_are_tested_with_at_most_three_tenths_of_the_customers(leavers: int, test: float) -> None:
    found = choose_shares(Split(), table(leavers, 3 * leavers))
    assert found.split == Split(validation=0.2, test=test)
    assert (found.judged_on, found.leavers, found.is_open) == ("test", leavers, True)
    assert leavers * test >= 60


@pytest.mark.parametrize("leavers", [199, 100, 10])
def test_with_fewer_the_test_split_is_the_first_of_five_outer_folds(leavers: int) -> None:
    found = choose_shares(Split(), table(leavers, 2_000))
    assert found.judged_on == "outer_folds"
    assert found.split.test == FOLD_SHARE


def test_the_rarer_class_counts_where_most_customers_leave() -> None:
    assert choose_shares(Split(), table(2_000, 300)).leavers == 300


def test_what_the_spec_says_stays_and_by_time_there_are_no_outer_folds() -> None:
    written = Split(test=0.05, validation=0.3)
    assert choose_shares(written, table(100, 900)).split == written
    assert choose_shares(Split(by="column", column="part"), table(100, 900)).judged_on == "test"
    assert choose_shares(Split(validation=0.3), table(300, 900)).split == Split(validation=0.3, test=0.2)
    by_time = choose_shares(Split(by="time"), table(100, 900))
    assert (by_time.judged_on, by_time.split.test) == ("test", 0.3)
    # A window of a fifth of the rows, and of these a tenth of the customers.
    assert choose_for_leavers(Split(by="time"), 3_000).split.test == 0.1


def test_a_growing_table_only_ever_shrinks_its_test_split_once_it_has_one() -> None:
    shares = [choose_for_leavers(Split(), leavers).split.test_share for leavers in range(200, 2_000)]
    assert all(later <= before for before, later in pairwise(shares))


def test_a_split_that_is_too_small_is_answered_with_the_line_to_write() -> None:
    def suggested(split: Split, leavers: int) -> tuple[str, ...]:
        return suggest_split(choose_shares(split, table(leavers, 9_000)), 60)

    assert suggested(Split(test=0.1), 300) == (
        "split: {by: hash, validation: 0.2, test: 0.2}  # about 60 of the 300 who left are in test",
    )
    assert suggested(Split(test=0.1, seed=7), 120) == (
        "split: {by: hash, seed: 7}  # the shares left open: 120 left, so outer folds are the judge",
    )
    assert suggested(Split(test=0.1), 40) == ()
    assert suggested(Split(), 120) == ()
