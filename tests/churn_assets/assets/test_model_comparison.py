"""Two models on the same rows, of the test or of a batch: the command, whom it takes, and what it says."""

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import dagster as dg
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from churn_assets.assets import _shadow
from churn_assets.assets.evaluation_report import _count_looks
from churn_assets.assets.model_comparison import model_comparison
from churn_assets.cli.command import ExitCode
from churn_assets.cli.summaries.compare import compare_summary
from churn_assets.sample.generator import Generator
from churn_model.decisions.policy import Decisions, Policy
from churn_model.errors import InputError
from churn_model.evaluation.comparison import agreement, auc_difference, compare
from churn_model.evaluation.metrics import Scores
from churn_model.models.bundle import read_bundle
from churn_model.reports.compare import CompareReport
from churn_model.reports.evaluate import EvaluateReport
from churn_model.reports.shadow import ShadowReport
from churn_model.reports.step_report import PublishedFile, StepReport
from churn_model.spec.dataset import Dataset, Kind
from churn_model.spec.sections.costs import Costs
from churn_model.spec.sections.split import Split
from churn_model.steps import compare as compare_step
from churn_model.steps.contract import Layout
from churn_model.tables import write_table
from resources.catalog.digests import digest_of
from resources.catalog.names import champion_key, current_key
from resources.catalog.pointers import (
    Current,
    point_to,
    read_batch,
    read_champion,
    read_current,
    read_pointer,
    to_bytes,
)
from resources.catalog.publish import read_published
from resources.catalog.versions import restrict_dataset
from resources.local.lake import LocalLake
from resources.ports.lake import MANIFEST, Manifest
from resources.settings import read_settings
from resources.specs.loader import load_specs
from resources.wiring import wire
from tests.conftest import Workspace

SPEC = """\
id: customer_id
as_of: as_of
label: {column: churned, positive: ["yes"], means: cancelled}
costs: {contact: {cost: 40, success: 0.6, value: {column: annual_value}}}
search: {trials: 1}
"""
OTHER = SPEC + "ignore: [contract]\n"


# --- the figures


def scores(p: list[float], y: list[int]) -> Scores:
    return Scores(ids=np.arange(len(p)), y=np.array(y), p=np.array(p))


def test_whom_two_models_treat_differently_is_counted_with_those_who_left() -> None:
    costs = Costs(false_negative=500, false_positive=100, true_positive=100, true_negative=0)  # cutoff 0.2
    first = scores([0.9, 0.1, 0.3, 0.1, 0.2], [1, 1, 0, 0, 0])
    second = scores([0.9, 0.4, 0.1, 0.1, 0.1], [1, 1, 0, 0, 0])
    found = agreement(first, second, Policy(costs))
    groups = {name: (group.rows, group.leavers) for name, group in vars(found).items()}
    assert groups == {"both": (1, 1), "only_first": (2, 0), "only_second": (1, 1), "neither": (1, 0)}


def test_the_difference_in_auc_is_second_minus_first_and_nothing_for_a_model_against_itself() -> None:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 400)
    good, poor = (np.clip(0.5 + sign * 0.2 * (y - 0.5) + 0.1 * rng.normal(size=400), 0, 1) for sign in (1, 0.2))
    first, second = (Scores(ids=np.arange(400), y=y, p=p) for p in (poor, good))
    better, same = auc_difference(first, second), auc_difference(first, first)
    assert 0 < better.low < better.value < better.high
    assert (same.value, same.low, same.high) == (0, 0, 0)
    assert compare(second, first, Policy(Costs())).auc_candidate - compare(
        second, first, Policy(Costs())
    ).auc_champion == pytest.approx(better.value)


# --- the command, on one lake that holds two models


def candidate_of(home: Workspace) -> str:
    current = read_current(home.lake, "shop", "tuned_model")
    assert current is not None
    return current.version


def champion_of(home: Workspace) -> str:
    champion = home.champion()
    assert champion is not None
    return champion.version


def comparison_of(home: Workspace) -> StepReport:
    current = read_current(home.lake, "shop", "model_comparison")
    assert current is not None
    report = read_published(home.lake, current.prefix)
    assert report is not None
    return report


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, new_workspace: Callable[[Path], Workspace]) -> Workspace:
    """Two models: the champion, and a candidate that sees one column fewer."""
    made = new_workspace(tmp_path_factory.mktemp("compare"))
    made.write_spec("shop", SPEC)
    made.land(pa.concat_tables(piece.landed for piece in Generator().training(3000)))
    assert made.churn("retrain", "shop") == ExitCode.DONE
    made.write_spec("shop", OTHER)
    assert made.churn("retrain", "shop") == ExitCode.DONE
    return made


Churn = Callable[..., tuple[int, str]]


@pytest.fixture
def churn(home: Workspace) -> Churn:
    """Return a function that runs a command: its exit code, and what it printed."""
    return lambda *arguments: (home.churn(*arguments), home.output)


def test_champion_and_candidate_are_compared_by_default_and_nothing_is_promoted(home: Workspace, churn: Churn) -> None:
    champion, candidate = champion_of(home), candidate_of(home)
    assert champion != candidate
    pointer = read_pointer(home.lake, champion_key("shop"))
    code, said = churn("compare", "shop")
    assert code == ExitCode.DONE
    opened = home.root / "home" / "out" / "shop" / "comparison.html"
    assert f"Report: {opened}" in said
    assert "<h1>Two models of shop</h1>" in opened.read_text("utf-8")
    for told in (
        f"A: {champion} (champion)",
        f"B: {candidate} (candidate)",
        "B - A (90% range)",
        "This promotes nothing",
        "contacted by B alone",
    ):
        assert told in said
    assert read_pointer(home.lake, champion_key("shop")) == pointer
    report = comparison_of(home)
    compared = report.read(CompareReport)
    first, second = compared.first, compared.second
    assert first
    assert second
    assert compared.counts.left_out == 0
    # The same figures as each model's own evaluation on these rows, and the difference is theirs.
    difference = second.log_loss.value - first.log_loss.value
    assert report.metrics["log_loss_difference"] == pytest.approx(difference)
    assert report.metrics["cost_difference"] == pytest.approx(first.saving.value - second.saving.value)
    spread = compared.log_loss_difference
    assert spread.low < spread.value < spread.high
    groups = vars(compared.decisions).values()
    assert sum(group.rows for group in groups) == compared.counts.rows
    assert sum(group.leavers for group in groups) == compared.counts.leavers
    judged = read_current(home.lake, "shop", "evaluation_report")
    evaluated = read_published(home.lake, judged.prefix) if judged else None
    assert evaluated is not None
    of_candidate = evaluated.read(EvaluateReport)
    assert of_candidate.comparison
    assert second.log_loss == of_candidate.evaluation.log_loss
    assert first.log_loss.value == pytest.approx(of_candidate.comparison.log_loss.champion)
    # The report names no customer, and a second look finds it.
    current = read_current(home.lake, "shop", "model_comparison")
    assert current is not None
    files = Manifest.from_json(home.lake.read(current.prefix + MANIFEST)).files
    assert set(files) == {"report.json"}
    assert churn("compare", "shop", champion, candidate)[0] == ExitCode.DONE
    assert read_current(home.lake, "shop", "model_comparison") == current


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ("nosuch",),
            "Expected a model of shop; found no version nosuch. The models of shop, newest first: {candidate}, {champion}",
        ),
        (("champion", "../x"), "found no version ../x"),
        (("champion", "{champion}"), "Expected two models to compare; found {champion} twice"),
        (("previous", "champion"), "Expected a champion of shop before the present one; found none. Name two versions"),
    ],
)
def test_models_that_are_not_there_are_named(
    home: Workspace, churn: Churn, arguments: tuple[str, ...], said: str
) -> None:
    names = {"champion": champion_of(home), "candidate": candidate_of(home)}
    before = len(home.runs())
    code, told = churn("compare", "shop", *(each.format(**names) for each in arguments))
    assert code == ExitCode.FAILED
    assert said.format(**names) in told
    assert "Traceback" not in told
    assert len(home.runs()) == before, "a run that fails paints the healthy asset red"


def decisions_of_each(home: Workspace, batch: str) -> tuple[pa.Table, list[Decisions]]:
    """Return the rows of a batch, and what the champion and the candidate, each by itself, decide of them."""
    spec = load_specs(home.root / "datasets").datasets["shop"]
    record = read_batch(home.lake, "shop", batch)
    assert record is not None
    rows, policy = pq.read_table(home.lake.uri(record.rows.prefix + "rows")), Policy(spec.costs)
    decided = []
    for version in (champion_of(home), candidate_of(home)):
        bundle = read_bundle(Path(home.lake.uri(f"shop/tuned_model/{version}")) / "model.tar.gz")
        decided.append(policy.decide(bundle.probabilities(rows), policy.worth(rows)))
    return rows, decided


def test_on_a_batch_those_whom_the_models_decide_otherwise_are_counted_and_named(home: Workspace, churn: Churn) -> None:
    (piece,) = Generator(seed=5).training(400)
    home.land(piece.landed.drop_columns(["churned"]), batch="monday")
    code, said = churn("compare", "shop", "--batch", "monday")
    assert code == ExitCode.FAILED
    assert "`churn score shop monday`" in said
    assert churn("score", "shop", "monday")[0] == ExitCode.DONE
    before = {name: read_current(home.lake, "shop", name, "monday") for name in ("batch_predictions", "retention_list")}
    code, said = churn("compare", "shop", "--batch", "monday")
    assert code == ExitCode.DONE
    assert {name: read_current(home.lake, "shop", name, "monday") for name in before} == before
    current = read_current(home.lake, "shop", "shadow", "monday")
    assert current is not None
    published = read_published(home.lake, current.prefix)
    assert published is not None
    found = published.read(ShadowReport)
    rows, (first, second) = decisions_of_each(home, "monday")  # the candidate does not read `contract`
    one, other = first.contact, second.contact
    counts = found.counts
    assert (counts.rows, counts.only_first, counts.only_second) == (400, (one & ~other).sum(), (~one & other).sum())
    assert (counts.both, counts.neither) == ((one & other).sum(), (~one & ~other).sum())
    differ = one != other
    assert differ.any()
    assert found.at_stake.by_first == pytest.approx(np.abs(first.expected_saving[differ]).sum())
    assert found.at_stake.by_second == pytest.approx(np.abs(second.expected_saving[differ]).sum())
    assert f"Another decision for {differ.sum()} (" in said
    assert "That is the gate's word" in said
    file = home.root / "home" / "out" / "shop" / "shadows" / "monday.csv"
    assert str(file) in said
    with file.open(encoding="utf-8") as stream:
        named = {(row["id"], row["as_of"]) for row in csv.DictReader(stream)}
    assert len(named) == found.listed == differ.sum()
    assert {key for key, _ in named} == set(np.array(rows["_id"].to_pylist())[differ])


def test_a_batch_that_changed_after_it_was_scored_is_compared_as_it_is_now(home: Workspace, churn: Churn) -> None:
    (piece,), (more,) = Generator(seed=5).training(400), Generator(seed=6).training(10)
    home.land(piece.landed.drop_columns(["churned"]), batch="tuesday")
    assert churn("score", "shop", "tuesday")[0] == ExitCode.DONE
    home.land(more.landed.drop_columns(["churned"]), name="more.csv", batch="tuesday")
    code, said = churn("compare", "shop", "--batch", "tuesday")
    assert code == ExitCode.DONE
    assert "has changed since it was last scored (1 file new): the models are compared on what is there now." in said
    landed = home.root / "home" / "lake" / "landing" / "shop" / "score" / "tuesday" / "customers.csv"
    landed.write_text(landed.read_text("utf-8").replace(",2025-", ",soon-"))
    code, said = churn("compare", "shop", "--batch", "tuesday")
    assert code == ExitCode.FAILED
    assert "10 rows, 400 in quarantine" in said
    assert "Look at the quarantine (" in said


def test_models_that_take_a_column_for_two_types_are_not_compared_on_a_batch(
    home: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: dict[str, dict[str, Kind]] = {"v1": {"age": "number", "plan": "text"}, "v2": {"age": "text", "city": "text"}}
    monkeypatch.setattr(_shadow, "read_columns", lambda _, model: reads[model.version])
    first, second = (Current(version, f"shop/tuned_model/{version}/") for version in reads)
    with pytest.raises(InputError, match=r"same types; found age as number and as text\. "):
        _shadow.read_columns_of_both(home.lake, first, second)
    reads["v2"]["age"] = "number"
    assert list(_shadow.read_columns_of_both(home.lake, first, second)) == ["age", "plan", "city"]


@pytest.mark.parametrize("version", ["nope", "{champion}", "{candidate}", "previous"])
def test_a_rollback_that_cannot_be_is_refused_before_a_run_starts(home: Workspace, churn: Churn, version: str) -> None:
    before = len(home.runs())
    code, told = churn("rollback", "shop", version.format(champion=champion_of(home), candidate=candidate_of(home)))
    assert code == ExitCode.FAILED
    assert "Expected a model that was champion before; found" in told
    assert "Keep it: there was no other." in told
    assert len(home.runs()) == before


@pytest.mark.parametrize("with_test_rows", [True, False])
def test_rows_that_a_model_was_trained_on_are_left_out(home: Workspace, tmp_path: Path, with_test_rows: bool) -> None:
    splits = read_current(home.lake, "shop", "preprocessed_splits")
    assert splits is not None
    folder = Path(home.lake.uri(splits.prefix))
    train, test = (pq.read_table(folder / name) for name in ("train", "test"))
    # Tested by another seed today: of these rows the models have seen all but those of their own test.
    today = replace(load_specs(home.root / "datasets").datasets["shop"], split=Split(seed=5))
    inputs = tmp_path / "processing" / "input"
    (inputs / "config").mkdir(parents=True)
    (inputs / "splits").mkdir()
    report_of_splits = json.loads((folder / "report.json").read_text("utf-8"))
    report_of_splits["detail"]["shares"]["split"]["seed"] = 5
    (inputs / "splits" / "report.json").write_text(json.dumps(report_of_splits), "utf-8")
    write_table(inputs / "splits" / "test", pa.concat_tables([train, test]) if with_test_rows else train)
    (inputs / "config" / "dataset.json").write_text(restrict_dataset(today, "compare").to_json(), "utf-8")
    (inputs / "config" / "request.json").write_text('{"version": "v1", "threads": 2}', "utf-8")
    for name, version in (("first", champion_of(home)), ("second", candidate_of(home))):
        (inputs / name).symlink_to(home.lake.uri(f"shop/tuned_model/{version}"))
    layout = Layout(tmp_path)
    layout.result.mkdir(parents=True)
    report = compare_step.step(layout)
    assert report.content.counts.left_out == train.num_rows
    assert report.content.counts.rows == (test.num_rows if with_test_rows else 0)
    # What the command would say of it.
    layout.write_report("compare", report)
    prefix = f"shop/model_comparison/by-hand-{with_test_rows}/"
    data = (layout.result / "report.json").read_bytes()
    home.lake.put(prefix + "report.json", data)
    home.lake.publish(prefix, Manifest("by-hand", {"report.json": PublishedFile(len(data), digest_of(data))}))
    point_to(home.lake, current_key("shop", "model_comparison"), Current("by-hand", prefix))
    said = compare_summary(wire(read_settings(home.settings)), today)
    assert f"{train.num_rows:,} rows are left out: A or B may have been trained on them." in said
    assert ("No row is left to compare them on." in said) is not with_test_rows
    assert ("log loss" in said) is with_test_rows


def test_a_model_that_needs_a_column_which_today_lacks_is_named(home: Workspace, tmp_path: Path) -> None:
    splits = read_current(home.lake, "shop", "preprocessed_splits")
    assert splits is not None
    test = pq.read_table(Path(home.lake.uri(splits.prefix)) / "test")
    bundle = read_bundle(Path(home.lake.uri(f"shop/tuned_model/{champion_of(home)}")) / "model.tar.gz")
    policy = Policy(load_specs(home.root / "datasets").datasets["shop"].costs)
    with pytest.raises(InputError, match=f"model {champion_of(home)} cannot score today's test rows"):
        compare_step._scores(test.drop_columns(["contract"]), bundle, policy)


def test_the_report_says_where_the_exploration_is_or_how_to_make_it(churn: Churn) -> None:
    code, said = churn("report", "shop")
    assert code == ExitCode.DONE
    assert "Exploration: `churn explore shop` makes it" in said


def test_a_comparison_counts_as_a_look_at_the_test_rows(home: Workspace, churn: Churn) -> None:
    assert churn("compare", "shop")[0] == ExitCode.DONE
    dataset = load_specs(home.root / "datasets").datasets["shop"]
    splits = read_current(home.lake, "shop", "preprocessed_splits")
    assert splits is not None
    assert _count_looks(home.lake, dataset, splits.version) >= 2


def test_after_a_first_retrain_materializing_everything_says_that_there_is_nothing_to_compare(
    home: Workspace, tmp_path: Path, dataset: Dataset
) -> None:
    lake = LocalLake(root=str(tmp_path))
    champion = read_champion(home.lake, "shop")
    assert champion is not None
    point_to(lake, current_key("telco", "preprocessed_splits"), Current("s", "telco/preprocessed_splits/s/"))
    point_to(lake, current_key("telco", "tuned_model"), Current(champion.version, champion.prefix))
    lake.swap(champion_key("telco"), None, to_bytes(replace(champion, previous=None)))
    ports = wire(replace(read_settings(home.settings), home=tmp_path / "home"))
    result = dg.materialize([model_comparison(dataset)], resources={**vars(ports), "lake": lake})
    assert result.success
    (event,) = result.asset_materializations_for_node("telco__model_comparison")
    assert "There is nothing to compare yet" in str(event.metadata["outcome"].value)
