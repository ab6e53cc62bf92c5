"""One value in several spellings."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from churn_model.column_types.category import CATEGORY, Category
from churn_model.column_types.interface import ColumnType, Feature, Layout
from churn_model.column_types.number import NUMBER, Number
from churn_model.column_types.registry import column_type
from churn_model.column_types.spelling import Spelling, are_flags

LAYOUT = Layout("boosted_trees", 16)
PAIRS = [
    *(("yes", "no"), ("true", "false"), ("1", "0"), ("y", "n"), ("t", "f")),
    *(("ja", "nein"), ("wahr", "falsch"), ("oui", "non"), ("vrai", "faux"), ("sí", "no"), ("verdadero", "falso")),
]
CASES = (str.lower, str.upper, str.title)


def fit(kind: ColumnType, values: Sequence[str | None]) -> Feature:
    column = kind.parse(pa.array(values, pa.string())).values
    (feature,) = kind.fit("x", column.dictionary_encode() if isinstance(kind, Category) else column, None).features
    return feature


def encode(feature: Feature, landed: pa.Array) -> list[list[float]]:
    """Return what the model reads for values that land after training."""
    kind = column_type(feature.kind)
    parsed = kind.parse(landed)
    assert parsed.wrong == {}
    column = parsed.values.dictionary_encode() if isinstance(kind, Category) else parsed.values
    out = np.empty((len(landed), kind.width(feature, LAYOUT)), dtype=np.float32)
    kind.encode(column, feature, LAYOUT, None).fill(out, 0, len(landed))
    return out.tolist()


@pytest.mark.parametrize(
    ("texts", "flags"),
    [
        (("Yes", "No"), True),
        (("TRUE", "no", "false"), True),
        (("1", "0"), True),
        (("1.0", "0."), True),
        (("Y", "N", "yes"), True),
        (("y",), True),
        (("Yes", "No", "No internet service"), True),
        (("yes", "no", "1"), False),
        (("0", "1", "2"), False),
        (("F", "M"), False),
        (("F", "N"), False),
        (("N", "S"), False),
        (("T", "F", "N"), False),
        (("yes", "true"), False),
        (("WAHR", "FALSCH"), True),
        (("Ja", "Nein", "unbekannt"), True),
        (("Oui", "Non"), True),
        (("vrai", "FAUX"), True),
        (("Sí", "No"), True),
        (("Yes", "No", "ja", "nein"), True),
        (("da", "en", "ja", "no"), False),
        (("Non", "yes"), False),
        (("a",), False),
        ((), False),
    ],
)
def test_flags_are_whole_pairs_of_words(texts: tuple[str, ...], flags: bool) -> None:
    assert are_flags(texts) is flags


@given(
    trained=st.sampled_from(PAIRS),
    landed=st.sampled_from(PAIRS),
    cases=st.tuples(st.sampled_from(CASES), st.sampled_from(CASES)),
    blanks=st.sampled_from(["", " ", "\t"]),
)
def test_a_flag_is_encoded_alike_in_every_spelling(
    trained: tuple[str, str], landed: tuple[str, str], cases: tuple[type[str], type[str]], blanks: str
) -> None:
    for kind in (CATEGORY, NUMBER) if trained == ("1", "0") else (CATEGORY,):
        feature = fit(kind, [cases[0](word) for word in trained] * 5)
        expected = encode(feature, pa.array([cases[0](word) for word in trained]))
        assert expected[0] != expected[1]
        spelled = [blanks + cases[1](word) + blanks for word in landed]
        assert encode(feature, pa.array([word.encode() for word in spelled], pa.binary())) == expected
        assert encode(feature, pa.array([True, False])) == expected
        assert encode(feature, pa.array([1, 0])) == expected
        assert encode(feature, pa.array([1.0, 0.0])) == expected
        assert encode(feature, pa.array(["1.0", "0.00"])) == expected


@given(
    codes=st.lists(st.integers(-5, 10**12), min_size=2, max_size=20, unique=True),
    zeros=st.sampled_from([".", ".0", ".00"]),
)
def test_a_whole_number_is_one_code_with_and_without_a_point(codes: list[int], zeros: str) -> None:
    feature = fit(CATEGORY, [str(code) for code in codes] * 3)
    expected = encode(feature, pa.array(list(map(str, codes))))
    assert len(set(map(tuple, expected))) == len(codes)
    assert encode(feature, pa.array([f"{code}{zeros}" for code in codes])) == expected
    assert encode(feature, pa.array([float(code) for code in codes])) == expected
    assert encode(feature, pa.array(codes)) == expected
    assert CATEGORY.count_unknown(pa.array([f"{code}{zeros}" for code in codes]).dictionary_encode(), feature) == 0


def test_codes_keep_zeros_before_them_and_fractions_are_no_codes() -> None:
    feature = fit(CATEGORY, ["0408", "408", "4.5"] * 3)
    assert set(feature.levels) == {"0408", "408", "4.5"}
    assert CATEGORY.count_unknown(pa.array(["4.50", "0408.0"]).dictionary_encode(), feature) == 1


def test_spellings_in_training_are_one_level_named_by_the_most_frequent() -> None:
    feature = fit(CATEGORY, ["No"] * 5 + ["FALSE"] * 2 + ["Yes"] * 4 + ["true"] * 3 + [None] * 2)
    assert feature.levels == ("No", "Yes")
    assert feature.shares == (7 / 16, 7 / 16)
    column = pa.array(["true", "no", None]).dictionary_encode()
    words = CATEGORY.describe(column, feature, None)
    assert [words.value(number) for number in words.numbers[:2]] == ["Yes", "No"]


def test_case_matters_unless_the_spec_says_otherwise() -> None:
    values: list[str | None] = ["Gold", "gold", "Basic"]
    assert len(fit(CATEGORY, values * 3).levels) == 3
    feature = fit(column_type("category any case"), values * 3)
    assert (feature.kind, feature.levels) == ("category any case", ("Gold", "Basic"))
    assert encode(feature, pa.array(["GOLD", "bAsic"])) == encode(feature, pa.array(["Gold", "Basic"]))


def test_flags_among_numbers_are_flags_and_no_numbers_with_faults() -> None:
    zeros_and_ones = fit(NUMBER, ["0", "1", "1", None])
    assert zeros_and_ones.kind == "number 0/1"
    assert encode(zeros_and_ones, pa.array(["2", "TRUE", "f"])) == [[2], [1], [0]]
    assert fit(NUMBER, ["0", "1", "2"]).kind == "number"
    assert NUMBER.parse(pa.array(["yes"])).wrong != {}
    assert Number(flags=True).parse(pa.array(["maybe"])).wrong != {}


def test_the_share_of_rare_levels_is_what_new_rows_will_hold() -> None:
    rng = np.random.default_rng(1)
    train, new = (pa.array([str(n) for n in rng.geometric(0.004, 4_000)]) for _ in range(2))
    feature = fit(CATEGORY, train.to_pylist())
    unknown = CATEGORY.count_unknown(new.dictionary_encode(), feature)
    assert unknown is not None
    assert feature.rare > 0.2
    assert abs(unknown / 4_000 - feature.rare) < 0.03


@given(st.lists(st.text(max_size=6), max_size=20), st.booleans(), st.booleans())
def test_a_normal_text_is_its_own_normal_text(texts: list[str], flags: bool, any_case: bool) -> None:
    spelling = Spelling(flags, any_case)
    once = spelling.normalize(pa.array(texts, pa.string()))
    assert spelling.normalize(once).equals(once)
