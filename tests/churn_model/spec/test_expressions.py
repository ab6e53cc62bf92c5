import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from churn_model.errors import SpecError
from churn_model.spec.expression_parser import MAX_DEPTH, MAX_LENGTH
from churn_model.spec.expressions import compile_expression

NAN = math.nan


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a + b * 2", 8.0),
        ("(a + b) * 2", 10.0),
        ("a - b - 1", -2.0),
        ("8 / b / 2", 4 / 3),
        ("-a * -b", 6.0),
        ("--a", 2.0),
        ("1.5e1 + .5 + a", 17.5),
        ("a >= 2", 1.0),
        ("a > 2", 0.0),
        ("a + 1 == b", 1.0),
        ("a != 2", 0.0),
        ("(a < b) * (b <= 3)", 1.0),
        ("min(a, b, 1)", 1.0),
        ("max(a, b, 1)", 3.0),
        ("abs(a - b)", 1.0),
        ("sqrt(a + 2)", 2.0),
        ("log1p(a)", math.log1p(2)),
        ("if(a > b, a, b)", 3.0),
        ("is_missing(a)", 0.0),
        ("is_missing(nothing) + a", 3.0),
        ("if(is_missing(nothing), 0, nothing)", 0.0),
        ("`Day Charge` + `a``b`", 30.0),
        ("`day charge`", 10.0),
        ("A", 2.0),
        ("min", 4.0),
    ],
)
def test_an_expression_means_what_arithmetic_means(text: str, expected: float) -> None:
    row = {"a": 2.0, "b": 3.0, "nothing": NAN, "Day Charge": 10.0, "a`b": 20.0, "min": 4.0}
    expression = compile_expression(text)
    assert expression.evaluate_row(row) == expected
    assert expression.evaluate({name: np.array([value]) for name, value in row.items()}).tolist() == [expected]


@pytest.mark.parametrize(
    "text",
    [
        "nothing + 1",
        "nothing > 1",
        "nothing == nothing",
        "min(a, nothing)",
        "max(nothing, a)",
        "abs(nothing)",
        "if(nothing, a, a)",
        "nothing * 0",
        "a / 0",
        "0 / (a - a)",
        "a * 1e308 * 1e308",
        "-a * 1e308 * 1e308",
        "sqrt(-a)",
        "log1p(-a)",
        "log1p(-1 + a * 0)",
        "infinite",
        "a + infinite",
        "infinite > 1",
    ],
)
def test_what_is_missing_or_no_finite_number_is_missing(text: str) -> None:
    row = {"a": 2.0, "nothing": NAN, "infinite": math.inf}
    expression = compile_expression(text)
    assert math.isnan(expression.evaluate_row(row))
    assert np.isnan(expression.evaluate({name: np.array([value]) for name, value in row.items()})).all()


def test_the_branch_not_taken_does_not_make_the_result_missing() -> None:
    expression = compile_expression("if(a > 1, a, nothing)")
    assert expression.evaluate_row({"a": 2.0, "nothing": NAN}) == 2.0
    assert expression.evaluate({"a": np.array([2.0]), "nothing": np.array([NAN])}).tolist() == [2.0]


@pytest.mark.parametrize(
    "text", ["min(a, b)", "max(a, b)", "min(b, a)", "max(b, a)", "-a", "abs(a)", "sqrt(a)", "a + b", "log1p(a)"]
)
def test_the_sign_of_zero_is_the_same_in_a_batch_and_a_row(text: str) -> None:
    expression = compile_expression(text)
    batch = expression.evaluate({"a": np.array([-0.0]), "b": np.array([0.0])})
    assert math.copysign(1, batch[0]) == math.copysign(1, expression.evaluate_row({"a": -0.0, "b": 0.0}))


def test_columns_are_named_once_as_first_written() -> None:
    assert compile_expression("`Day Charge` + b - `day charge` * min(b, c)").columns == ("Day Charge", "b", "c")


def test_a_batch_keeps_its_length_and_its_input() -> None:
    values = np.array([1.0, NAN, 3.0])
    result = compile_expression("`a`").evaluate({"a": values})
    result[0] = 9.0
    assert values[0] == 1.0
    assert compile_expression("a + 1").evaluate({"a": np.array([])}).shape == (0,)


@pytest.mark.parametrize(
    ("text", "fragments"),
    [
        (
            "",
            ["character 1:", "an expression such as `Day Charge` + 2 * (`Eve Charge` >= 10)", "the end", "complete it"],
        ),
        ("a +", ["character 4:", "the end", "complete it"]),
        ("a b", ["character 3:", "an expression such as", "'b'", "correct it here"]),
        ("a + * b", ["character 5:", "an expression such as", "'*'"]),
        ("(a + b", ["character 1:", "a bracket that is closed", "'('", "close the bracket"]),
        ("a)", ["character 2:", "an expression such as", "')'"]),
        ("min(a b)", ["character 5:", "a comma or a sign between two parts", "'a'"]),
        ("`a", ["character 1:", "a name between backquotes", "'`a'"]),
        ("`` + a", ["character 1:", "a name between backquotes"]),
        ("a = 1", ["character 3:", "'= 1'", "write == to compare"]),
        ("a < b < c", ["character 9:", "one comparison", "'c'", "compare once, and multiply the two"]),
        ("a and b", ["character 3:", "'and'", "multiply conditions"]),
        ("a or b", ["character 3:", "'or'", "write max("]),
        ("not a", ["character 1:", "'not'", "write (condition) == 0"]),
        ("a ** 2", ["character 3:", "'**'", "there is no power; multiply"]),
        ("a == 'x'", ["character 6:", "put a column's name in backquotes: `Day Charge`; text cannot be compared"]),
        ("a.b", ["character 2:", "a number, a column, a function or a sign", "'.b'"]),
        ("a[b]", ["character 2:", "'[b]'"]),
        ("x := a", ["character 3:", "':= a'"]),
        ("+a", ["character 1:", "an expression such as", "'+'"]),
        ("a // b", ["character 4:", "an expression such as", "'/'"]),
        ("a, b", ["character 1:", "an expression such as"]),
        ("()", ["character 1:", "an expression such as"]),
        ("min(*a, b)", ["character 5:", "an expression such as", "'*'"]),
        ("a if b else c", ["character 3:", "'if'"]),
        ("2(a)", ["character 1:", "a function: min, max", "'2'"]),
        ("`min`(a, b)", ["character 1:", "a function: min, max", "'min'"]),
        ("min(a, b)(c)", ["character 1:", "an expression such as"]),
        ("__import__(a)", ["character 1:", "a function: min, max, abs, sqrt, log1p, is_missing, if", "'__import__'"]),
        ("negative(a)", ["character 1:", "a function: min, max, abs, sqrt, log1p, is_missing, if", "'negative'"]),
        ("min(a)", ["character 1:", "2 arguments or more in min(...)", "found 1"]),
        ("abs(a, b)", ["character 1:", "1 argument in abs(...)", "found 2"]),
        ("if(a, b)", ["character 1:", "3 arguments in if(...)", "found 2", "write if(condition, then, otherwise)"]),
        ("1 + 1", ["at least one column", "only numbers in '1 + 1'", "name a column"]),
        ("1e999 + a", ["character 1:", "a number up to 1.8e+308", "'1e999'"]),
        ("a" * (MAX_LENGTH + 1), [f"at most {MAX_LENGTH} characters", f"found {MAX_LENGTH + 1}"]),
        ("(" * 400 + "a" + ")" * 400, [f"character {MAX_DEPTH + 1}:", f"at most {MAX_DEPTH} levels"]),
        ("- " * 400 + "a", [f"character {2 * MAX_DEPTH + 1}:", f"at most {MAX_DEPTH} levels"]),
        ("abs(-" * 30 + "a" + ")" * 30, [f"at most {MAX_DEPTH} levels"]),
    ],
)
def test_a_wrong_expression_is_refused_by_position(text: str, fragments: list[str]) -> None:
    with pytest.raises(SpecError) as raised:
        compile_expression(text)
    assert [part for part in fragments if part.lower() not in str(raised.value).lower()] == []


@pytest.mark.parametrize("name", ["lambda", "None", "if", "for", "ﬁ", "größe", "__class__", "print"])
def test_a_word_of_pythons_or_another_alphabets_is_a_column_name(name: str) -> None:
    expression = compile_expression(f"{name} * 2")
    assert expression.columns == (name,)
    assert expression.evaluate_row({name: 3.0}) == 6.0


def test_a_long_sum_is_not_deep() -> None:
    expression = compile_expression(" + ".join(["a"] * 250))
    assert expression.evaluate_row({"a": 1.0}) == 250.0


def test_a_missing_column_is_named() -> None:
    expression = compile_expression("a + absent")
    with pytest.raises(SpecError, match=r"a column 'absent'.*found none of that name.*orrect the name"):
        expression.evaluate_row({"a": 1.0})
    with pytest.raises(SpecError, match="a column 'absent'"):
        expression.evaluate({"a": np.array([1.0])})


NAMES = ("a", "b", "c d")
_LEAVES = st.one_of(st.sampled_from(["a", "b", "`c d`"]), st.floats(0, 1e308).map(repr), st.integers(0, 20).map(str))


def _larger(part: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    signs = st.sampled_from(["+", "-", "*", "/", ">=", "<=", ">", "<", "==", "!="])
    one = st.sampled_from(["abs({})", "sqrt({})", "log1p({})", "is_missing({})", "-{}", "({})"])
    return st.one_of(
        st.builds("({}{}{})".format, part, signs, part),
        st.builds("{} - {} * {}".format, _LEAVES, _LEAVES, _LEAVES),
        st.builds(str.format, one, part),
        st.builds("if({}, {}, {})".format, part, part, part),
        st.builds(str.format, st.sampled_from(["min({}, {})", "max({}, {})"]), part, part),
    )


_EXPRESSIONS = st.recursive(_LEAVES, _larger, max_leaves=8).filter(lambda text: len(text) < 900)
_VALUES = st.one_of(st.floats(), st.sampled_from([0.0, -0.0, 1.0, -1.0, NAN, 5e-324, 1.7976931348623157e308]))


@settings(max_examples=400, deadline=None)
@given(_EXPRESSIONS, st.lists(st.tuples(_VALUES, _VALUES, _VALUES), min_size=1, max_size=9))
def test_a_batch_and_a_row_agree_to_the_bit_and_are_never_infinite(
    text: str, rows: list[tuple[float, float, float]]
) -> None:
    expression = compile_expression(f"if(is_missing(a) >= 0, {text}, 0)")
    columns = {name: np.array(values) for name, values in zip(NAMES, zip(*rows, strict=True), strict=True)}
    batch = expression.evaluate(columns)
    single = np.array(
        [
            expression.evaluate_row({name: float(values[row]) for name, values in columns.items()})
            for row in range(len(rows))
        ]
    )
    assert batch.dtype == np.float64
    assert not np.isinf(batch).any()
    known = ~np.isnan(batch)
    assert (known == ~np.isnan(single)).all()
    assert batch[known].tobytes() == single[known].tobytes()


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="ab`+-*/()<>=!., 0123456789eEif min_\t'\"", max_size=40))
def test_any_text_is_an_expression_or_a_spec_error(text: str) -> None:
    try:
        expression = compile_expression(text)
    except SpecError:
        return
    assert isinstance(expression.evaluate_row(dict.fromkeys(expression.columns, 1.0)), float)
