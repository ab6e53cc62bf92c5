"""A search that was interrupted goes on where it was, and gives what it would have given."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from churn_model.models.constraints import Constraints
from churn_model.spec.sections.search import Family, Search
from churn_model.training.search import Material, Part, judge_proposals, search
from churn_model.training.search_space import SPACES, Proposal, is_constrained
from churn_model.training.trials import KeptTrials, Trial

SETTINGS = Search(families=("boosted_trees", "linear"), trials=22, parallel=3)


def make_material(n: int = 120) -> Material:
    random = np.random.default_rng(5)
    x = random.normal(size=(n, 3)).astype(np.float32)
    y = (x[:, 0] + random.normal(size=n) > 0.4).astype(np.int8)
    folds = np.arange(n) % 5
    parts = tuple(Part(fit=np.flatnonzero(folds % 2 != k), held=np.flatnonzero(folds % 2 == k)) for k in (0, 1))
    families: tuple[Family, ...] = ("boosted_trees", "linear")
    constraints = Constraints(signs=(1, 0, 0), columns=((0,), (1,), (2,)))
    return Material(
        encoded=dict.fromkeys(families, x), y=y, folds=folds, outcome_costs=None, parts=parts, constraints=constraints
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[tuple[Trial, ...], Path]:
    """A search that was not interrupted, and the folder of its trials."""
    folder = tmp_path_factory.mktemp("whole")
    return search(make_material(), SETTINGS, seed=1, threads=1, kept=KeptTrials(folder, "v1")), folder


def keep_first(folder: Path, count: int, target: Path) -> list[Path]:
    """Copy what a search had kept when so many trials had ended."""
    target.mkdir()
    return [Path(shutil.copy(path, target)) for path in sorted(folder.iterdir())[:count]]


def margins_of(board: tuple[Trial, ...]) -> list[bytes]:
    return [trial.margins.tobytes() for trial in board]


def test_keeping_trials_changes_nothing(whole: tuple[tuple[Trial, ...], Path]) -> None:
    board, folder = whole
    plain = search(make_material(), SETTINGS, seed=1, threads=1)
    assert plain == board
    assert any(is_constrained(trial.hyperparameters.values) for trial in board)  # so the proofs below are of those, too
    assert margins_of(plain) == margins_of(board)
    assert [path.name for path in sorted(folder.iterdir())] == [f"trial-{number:05d}" for number in range(22)]


@pytest.mark.parametrize("count", [1, 4, 20, 22])
def test_a_search_goes_on_from_any_number_of_trials_to_the_same_bytes(
    whole: tuple[tuple[Trial, ...], Path], tmp_path: Path, count: int
) -> None:
    """Also within a round, and after the eighth trial of a family, when Optuna's suggestions follow from the answers."""
    board, folder = whole
    kept = keep_first(folder, count, tmp_path / "kept")
    before = [path.stat().st_ino for path in kept]
    again = search(make_material(), SETTINGS, seed=1, threads=2, kept=KeptTrials(tmp_path / "kept", "v1"))
    assert again == board
    assert margins_of(again) == margins_of(board)
    assert [trial.hyperparameters.values for trial in again] == [trial.hyperparameters.values for trial in board]
    assert [path.stat().st_ino for path in kept] == before  # none of them was run and written again


@pytest.mark.parametrize("harm", ["cut", "changed", "empty"])
def test_a_damaged_trial_is_run_again(whole: tuple[tuple[Trial, ...], Path], tmp_path: Path, harm: str) -> None:
    board, folder = whole
    path = keep_first(folder, 5, tmp_path / "kept")[3]
    data = path.read_bytes()
    path.write_bytes({"cut": data[:-8], "changed": data[:-1] + bytes([data[-1] ^ 1]), "empty": b""}[harm])
    assert search(make_material(), SETTINGS, seed=1, threads=1, kept=KeptTrials(tmp_path / "kept", "v1")) == board
    assert path.read_bytes()[-8:] == data[-8:]


def test_a_trial_of_other_values_or_of_another_search_is_no_answer(tmp_path: Path) -> None:
    kept, values = KeptTrials(tmp_path, "v1"), dict(SPACES["linear"].settings[0].values)
    proposal = Proposal(0, "linear", {**SPACES["linear"].fixed, **values})
    (trial,) = judge_proposals(make_material(), [proposal], "log_loss", seed=1, threads=1, kept=kept)
    assert kept.find(proposal) == trial
    assert kept.find(Proposal(0, "linear", {**proposal.values, "lambda": 0.25})) is None
    assert kept.find(Proposal(1, "linear", proposal.values)) is None
    assert KeptTrials(tmp_path, "v2").find(proposal) is None


def test_the_time_of_a_search_is_that_of_all_its_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each look at the clock finds it 5 s later. The first part ends with the third trial; the second has the rest of its minute."""
    clock = iter(range(0, 100_000, 5))
    monkeypatch.setattr("churn_model.training.search.time.monotonic", lambda: next(clock))
    limited = Search(trials=100, parallel=1, time="1m")
    kept = KeptTrials(tmp_path / "kept", "v1")
    kept.folder.mkdir()
    whole = len(search(make_material(), limited, seed=1, threads=1, kept=kept))
    assert 3 < whole < 12
    assert len(search(make_material(), limited, seed=1, threads=1, kept=kept)) == whole
    for path in sorted(kept.folder.iterdir())[3:]:
        path.unlink()
    assert len(search(make_material(), limited, seed=1, threads=1, kept=kept)) <= whole
