"""The exploration of a landed table: what it finds, that its page is safe to open, and the command that makes it."""

import base64
import hashlib
import re
from html.parser import HTMLParser

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from churn_assets.cli.command import ExitCode
from churn_assets.reporting.exploration import MOST_COLUMNS, ByClass, Exploration, explore
from churn_assets.reporting.exploration_page import page
from churn_assets.reporting.skrub_table import _make_accessible, script_digests
from churn_assets.sample.generator import Generator
from churn_model.errors import ChurnError
from churn_model.spec.dataset import Dataset
from churn_model.spec.sections.label import Label
from resources.catalog.pointers import read_current
from tests.conftest import Workspace

N = 600
SCRIPT = "</template></script><script>alert(1)</script>"
IMAGE = '"><img src=http://evil.example/x onerror=alert(1)>'
FORMULA = '=HYPERLINK("http://evil.example")'
DATASET = Dataset(
    name="shop", label=Label(column="left", positive=("yes",), means=f"cancelled {IMAGE}"), ignore=("noise",)
)


def canonical(**columns: object) -> pa.Table:
    """Rows as ingest writes them; a third left."""
    left = np.arange(N) % 3 == 0
    keys = {
        "_id": [f"c{row}" for row in range(N)],
        "_hash": np.arange(N, dtype=np.uint64),
        "_label": left.astype(np.int8),
    }
    return pa.table({**keys, **columns})


def category(values: object) -> pa.Array:
    return pa.array(values, pa.string()).dictionary_encode()


def ordinary() -> pa.Table:
    rng = np.random.default_rng(1)
    left, noise = np.arange(N) % 3 == 0, rng.normal(size=N)
    minutes = rng.normal(size=N) + 3.0 * left
    dates = pa.array((np.datetime64("2025-01-01") + 31 * (np.arange(N) % 2)).astype("datetime64[D]"))
    return canonical(
        _as_of=dates,
        noise=noise,
        minutes=pa.array(np.where(np.arange(N) % 10 == 0, np.nan, minutes), from_pandas=True),
        charge=pa.array(np.where(np.arange(N) % 10 == 0, np.nan, 0.1 * minutes), from_pandas=True),
        plan=category(np.where(left, "gold", "basic").tolist()),
        email=category([f"{row}@example.com" for row in range(N)]),
        constant=category(["x"] * N),
        ticket=rng.permutation(N).astype(np.float64),
        huge=1e38 * rng.random(N),
        city=category([f"town {row % 40}" for row in range(N)]),
    )


@pytest.fixture(scope="module")
def found() -> Exploration:
    return explore(ordinary(), DATASET)


def of(found: Exploration, column: str) -> ByClass:
    return next(each for each in found.columns if each.column == column)


def test_odd_and_repeated_columns_are_named_with_the_reason(found: Exploration) -> None:
    odd = {each.column: each.why for each in found.odd}
    assert odd["email"] == "differs in nearly every row, as an id does"
    assert odd["constant"] == "has only one value"
    assert "a whole number of its own" in odd["ticket"]
    assert set(odd) == {"email", "constant", "ticket"}
    assert [(each.column, each.why) for each in found.repeated] == [("charge", "repeats minutes (correlation 1.0000)")]
    assert set(found.private) == {"email", "ticket"}
    assert found.too_large == ("huge",)


def test_the_balance_of_classes_is_counted_by_snapshot(found: Exploration) -> None:
    assert (found.rows, found.leavers) == (N, N // 3)
    assert [(each.date, each.rows, each.leavers) for each in found.dates] == [
        ("2025-01-01", 300, 100),
        ("2025-02-01", 300, 100),
    ]


def test_columns_that_tell_the_classes_apart_come_first_and_noise_lies_near_chance(found: Exploration) -> None:
    assert found.columns[0].column == "plan"
    assert {each.column for each in found.columns[1:3]} == {"minutes", "charge"}
    assert of(found, "plan").apart == pytest.approx(1)
    assert of(found, "minutes").apart > 0.7
    noise = of(found, "noise")
    assert noise.is_ignored
    assert 0.3 * noise.by_chance < noise.apart < 2.5 * noise.by_chance


def test_columns_that_say_nothing_lie_as_far_apart_as_chance_puts_them() -> None:
    rng = np.random.default_rng(5)
    levels = {f"c{number}": rng.integers(0, 2 + number % 6, N).astype(np.float64) for number in range(25)}
    columns = explore(
        canonical(**levels, **{f"n{number}": rng.normal(size=N) for number in range(25)}), DATASET
    ).columns
    assert sum(each.apart for each in columns) == pytest.approx(sum(each.by_chance for each in columns), rel=0.15)


def test_every_row_is_in_one_bar_also_what_is_missing_or_rare(found: Exploration) -> None:
    for column in found.columns:
        assert sum(bar.left for bar in column.bars) == pytest.approx(1)
        assert sum(bar.stayed for bar in column.bars) == pytest.approx(1)
    minutes, city = of(found, "minutes"), of(found, "city")
    assert minutes.bars[-1].name == "missing"
    assert minutes.bars[-1].left == pytest.approx(0.1)
    assert [bar.name for bar in city.bars][-1] == "32 other values"


@pytest.mark.parametrize(
    ("values", "names"),
    [
        ([1.0] * N, ["1"]),
        ([None] * N, ["missing"]),
        ([0.0, 1.0] * (N // 2), ["0", "1"]),
        ([1e308, -1e308, None] * (N // 3), ["-1e+308", "1e+308", "missing"]),
    ],
)
def test_few_values_have_a_bar_each(values: list[float | None], names: list[str]) -> None:
    found = explore(canonical(x=pa.array(values, pa.float64()), y=np.random.default_rng(0).normal(size=N)), DATASET)
    assert [bar.name for each in found.columns for bar in each.bars if each.column == "x"] in (names, [])


def test_the_widest_range_of_numbers_has_bars_without_overflow() -> None:
    values = 2 * np.linspace(-0.8e38, 0.8e38, N)
    bars = of(explore(canonical(x=values), DATASET), "x").bars
    assert len(bars) == 10
    assert all(0.05 < bar.left < 0.15 for bar in bars)


# --- the page


class _Read(HTMLParser):
    """Tags with their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def hostile() -> pa.Table:
    rng = np.random.default_rng(2)
    words = [SCRIPT, IMAGE, FORMULA, "{{ 7 * 7 }}", "$\\frac{", "客户 😀 العربية", "]]></svg>", "a\x00\x01b", "-->"]

    def some() -> pa.Array:
        return category([words[row % len(words)] * (1 + 400 * (row == 5)) for row in rng.permutation(N)])

    named = {name: some() for name in (SCRIPT, "$\\frac{客户 😀", "</svg><script>", "{{ 7 * 7 }}")}
    numbers = {name: rng.normal(size=N) for name in (IMAGE, FORMULA, "</title><script>")}
    return canonical(**named, **numbers, gone=pa.nulls(N, pa.float64()), huge=np.full(N, 1e300))


def paged(rows: pa.Table, dataset: Dataset = DATASET) -> str:
    return page(dataset, explore(rows, dataset), rows, rows_in_all=N, leavers_in_all=N // 3, version="v1")


@pytest.fixture(scope="module")
def text() -> str:
    return paged(hostile())


def test_names_and_values_are_escaped_and_only_the_librarys_scripts_may_run(text: str) -> None:
    tags = _Read(text).tags
    scripts = re.findall(r"<script[^>]*>(.*?)</script>", text, re.DOTALL)
    assert [tag for tag, _ in tags].count("script") == len(scripts) == 2
    policy = next(str(attrs["content"]) for tag, attrs in tags if tag == "meta" and "http-equiv" in attrs)
    digests = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src " + " ".join(
        f"'sha256-{d}'" for d in digests
    )
    assert not [name for _, attrs in tags for name in attrs if name.startswith("on")]
    assert "{{ 7 * 7 }}" in text
    assert "&lt;script&gt;alert(1)" in text
    assert re.search(r"left out because they hold numbers above.*huge", text, re.IGNORECASE | re.DOTALL)


def test_the_librarys_part_can_be_read_by_everybody(text: str) -> None:
    assert "#ff6600" not in text
    assert re.search(r'<select aria-label="Columns to show"', text)
    plots = re.findall(r'data-svg-needs-adjust-viewbox>\s*<svg role="img" aria-label="Histogram of ([^"]*)"', text)
    assert len(plots) == text.count("data-svg-needs-adjust-viewbox>") > 1
    assert len(set(plots)) > 1
    ours = re.findall(r'aria-label="([^"]*): shares of both classes', text)
    assert len(ours) == len(set(ours)) > 1


def test_a_library_that_has_changed_is_refused() -> None:
    with pytest.raises(ChurnError, match=r"Report this: the library has changed"):
        _make_accessible("<select>")


def test_the_page_loads_nothing(text: str) -> None:
    for tag, attrs in _Read(text).tags:
        for name in ("src", "href", "xlink:href", "data", "action", "srcset", "poster"):
            target = attrs.get(name) or ""
            assert tag == "a" or not target or target.startswith(("data:", "#")), (tag, name, target[:80])
    assert not re.search(r"@import|url\((?!#|'?\"?data:)", text)


def test_the_same_rows_give_the_same_page(text: str) -> None:
    assert paged(hostile()) == text


def test_values_that_may_name_a_customer_are_not_in_the_page() -> None:
    told = paged(ordinary())
    assert "@example.com" not in told
    assert ">email<" in told
    assert not re.search(r"\bc17\b", told)


def test_a_wide_table_is_cut_to_the_most_telling_columns_and_says_so() -> None:
    rng = np.random.default_rng(3)
    rows = canonical(**{f"c{number}": rng.integers(0, 3, N).astype(np.float64) for number in range(MOST_COLUMNS + 5)})
    found = explore(rows, DATASET)
    assert (len(found.columns), len(found.not_drawn)) == (MOST_COLUMNS, 5)


@pytest.mark.parametrize(
    "html", ["", "<script>1</script>" * 3, "<script>1</script><SCRIPT>2</script><script>", "<script>1</script><script>"]
)
def test_other_scripts_than_the_librarys_two_are_refused(html: str) -> None:
    with pytest.raises(ChurnError, match="Expected 2 scripts in the library's table; found"):
        script_digests(html)


# --- the asset and the command


def test_churn_explore_ingests_shows_the_page_and_finds_it_again(workspace: Workspace) -> None:
    workspace.write_spec(
        "shop", 'id: customer_id\nas_of: as_of\nlabel: {column: churned, positive: ["yes"], means: cancelled}\n'
    )
    customers = pa.concat_tables(piece.landed for piece in Generator().training(400))
    customers = customers.append_column(
        "phone", pc.cast(pa.array(range(5_550_000, 5_550_000 + len(customers))), pa.string())
    )
    workspace.land(customers)
    assert workspace.churn("explore", "shop") == ExitCode.DONE
    said, lake = workspace.output, workspace.lake
    assert "400 rows landed for shop;" in said
    assert "phone: differs in nearly every row, as an id does" in said or "phone: numbers the rows" in said
    current = read_current(lake, "shop", "exploration_report")
    assert current is not None
    opened = workspace.root / "home" / "out" / "shop" / "exploration.html"
    assert str(opened) in said
    told = opened.read_text("utf-8")
    assert told.encode() == lake.read(current.prefix + "exploration.html")
    assert "5550007" not in told
    # Nothing was trained, and the same again is found, not made.
    assert read_current(lake, "shop", "tuned_model") is None
    manifest = lake.read(current.prefix + "_manifest.json")
    assert workspace.churn("explore", "shop") == ExitCode.DONE
    assert read_current(lake, "shop", "exploration_report") == current
    assert lake.read(current.prefix + "_manifest.json") == manifest
