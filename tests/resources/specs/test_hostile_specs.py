"""Specs that are slow or hostile end with words, and stop no other spec."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from churn_assets.definitions import build_definitions
from churn_model.errors import SpecError
from resources.settings import read_settings
from resources.specs import rules
from resources.specs.loader import load_spec, load_specs
from resources.specs.yaml_lines import MAX_BYTES

HEAD = "id: id\nlabel: {column: left, positive: ['yes']}\n"
GOOD = HEAD + (
    "as_of: day\nignore: [phone]\nknown: [plan]\ntypes: {fee: number, plan: category}\nderived: {total: '`fee` * 2'}\n"
    "words: {fee: 'pays {value}'}\ngroups: {money: [fee, total]}\ncosts: {contact: {cost: 10, success: 0.2, value: 500}}\n"
    "list: {budget: 5000, opt_out: no_call, cooldown: 30d}\nschedule: {retrain: '0 6 * * 1', timezone: UTC}\nsplit: {by: hash}\n"
)
BIG = MAX_BYTES - 10_000


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / f"{name}.yaml"
    path.write_text(text)
    return path


HOSTILE = {
    "brackets": HEAD + "ignore: " + "[" * BIG,
    "braces": HEAD + "ignore: " + "{a: " * (BIG // 4),
    "aliases of aliases": "a0: &a0 [x]\n"
    + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 60))
    + HEAD,
    "a long key": HEAD + "a" * BIG + ": 1\n",
    "a long zone": HEAD + f"schedule: {{timezone: '{'../' * (BIG // 3)}'}}\n",
    "a long cron line": HEAD + f"schedule: {{retrain: '{'1,' * (BIG // 2)}1 * * * *'}}\n",
    "a long number": HEAD + f"list: {{budget: {'9' * BIG}}}\n",
    "a long duration": HEAD + f"horizon: {'9' * BIG}d\n",
    "a long expression": HEAD + f"derived: {{x: '{'a + ' * (BIG // 4)}a'}}\n",
    "a deep expression": HEAD + f"derived: {{x: '{'(' * 400}a{')' * 400}'}}\n",
    "towers of powers": HEAD + "derived: {x: 'a + 9**9**9**9'}\n",
    "unknown keys": HEAD + "".join(f"k{n}: 1\n" for n in range(3_000)),
    "a thousand wrong types": HEAD + "types:\n" + "".join(f"  c{n}: numbr\n" for n in range(1_000)),
    "tags": HEAD + "t: !!python/object/apply:os.system [x]\n",
    "a control character": HEAD + "x: \0\n",
    "too large": "#" * (MAX_BYTES + 1),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_spec_is_refused_in_a_page_of_words(tmp_path: Path, name: str) -> None:
    with pytest.raises(SpecError, match="Expected ") as refused:
        load_spec(write(tmp_path, "shop", HOSTILE[name]))
    lines = str(refused.value).splitlines()
    assert len(lines) <= 101
    assert max(map(len, lines)) < 2_500


def count_compared(monkeypatch: pytest.MonkeyPatch, load: Callable[[], object]) -> int:
    """Return how many names the rules turn into what is compared while something is loaded."""
    calls = 0

    def counted(name: str) -> str:
        nonlocal calls
        calls += 1
        return name.strip().lower()

    with monkeypatch.context() as patched:
        patched.setattr(rules, "name_key", counted)
        patched.setattr(rules, "same_name", lambda a, b: counted(a) == counted(b))
        load()
    return calls


def test_the_rules_compare_each_of_many_columns_a_few_times(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def spec(columns: int) -> Callable[[], object]:
        text = HEAD + "".join(
            f"{section}:\n" + "".join(line.format(n=n) for n in range(columns))
            for section, line in (
                ("ignore", "- i{n}\n"),
                ("known", "- k{n}\n"),
                ("types", "  t{n}: number\n"),
                ("derived", "  d{n}: '`t{n}` + 1'\n"),
                ("words", "  t{n}: 'has {{value}}'\n"),
                ("groups", "  g{n}: [t{n}]\n"),
            )
        )
        path = write(tmp_path, "shop", text)
        return lambda: load_spec(path)

    few, many = (count_compared(monkeypatch, spec(columns)) for columns in (20, 200))
    assert many < 12 * few


@given(data=st.data())
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_a_spec_changed_anywhere_is_read_or_refused_and_its_neighbour_is_read(
    tmp_path: Path, data: st.DataObject
) -> None:
    text = GOOD
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(text)))
        end = min(len(text), start + data.draw(st.integers(0, 12)))
        put = data.draw(
            st.one_of(
                st.text(max_size=6),
                st.sampled_from(
                    ["\ud800", "\x00", "[", "{", "&a ", "*a", "!!x ", "\t", "- ", ": ", "'", '"', "1e999", "31 2"]
                ),
            )
        )
        text = text[:start] + put + text[end:]
    (tmp_path / "mutated.yaml").write_bytes(text.encode("utf-8", "surrogatepass"))
    write(tmp_path, "good", GOOD)
    specs = load_specs(tmp_path)
    assert "good" in specs.datasets
    assert {*specs.datasets, *specs.bad} == {"good", "mutated"}


def test_definitions_are_built_beside_any_spec_that_is_refused(tmp_path: Path) -> None:
    for number, text in enumerate(HOSTILE.values()):
        write(tmp_path, f"bad{number}", text)
    write(tmp_path, "good", GOOD)
    specs = load_specs(tmp_path)
    found = build_definitions(specs, read_settings({"CHURN_HOME": str(tmp_path / "home")}))
    assert len(specs.bad) == len(HOSTILE)
    assert found.resolve_job_def("good_retrain").name == "good_retrain"
