"""Train a candidate on two splits: search, average, calibrate, fit. Nothing here sees the test split.

Rows            search on                                           calibration on
< 5,000         5 folds of train + validation                       the rows held out in the search
< 20,000        3 folds of train + validation                       the rows held out in the search
to 200,000      validation, fitted on train                         5 folds of train + validation
more            half of the validation's customers                  the other half, both fitted on train

With more than 500,000 rows, a sample of 300,000 is used for the schema, the search and the calibration. Trees are then fitted on all rows, from
disk; a linear model would gain nothing. Rows are in hash order, so the first rows are a random sample of customers. Small tables are searched
in folds because a validation split of a few hundred rows picks noise. Folds and halves follow the hash of the id, so a customer is in one of
them. Up to 200,000 rows, the best trials may be averaged into one model; beyond that, one more tree is worth as much. The final model is fitted on
train + validation, with the schema of train.

Below 20,000 rows, calibration uses the rows on which the best trial was chosen, so its log loss is slightly optimistic. The evaluation
does not use that figure, and the two or three coefficients of the calibration have little room to fit noise.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypedDict

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from churn_model.arrays import FloatArray
from churn_model.decisions.costs import OutcomeCosts
from churn_model.decisions.policy import Policy
from churn_model.errors import InputError, TooLittleData, listed, problem
from churn_model.features.encoding import Encoded, encode
from churn_model.features.schema import FeatureSchema, Rows, column_named, fit_schema
from churn_model.models.calibration import Calibration, fit_calibration
from churn_model.models.constraints import Constraints
from churn_model.models.families import Block, Hyperparameters, Model, average_models, fit_model, fit_model_on_disk
from churn_model.spec.dataset import Dataset
from churn_model.spec.sections.search import Family
from churn_model.stats.logistic import sigmoid
from churn_model.training.constraint_signs import choose_constraints
from churn_model.training.out_of_fold import OutOfFold
from churn_model.training.search import (
    Material,
    Member,
    Part,
    average_margins,
    choose_members,
    find_trials,
    judge_proposals,
)
from churn_model.training.search_space import Proposal
from churn_model.training.trials import KeptTrials, Trial
from churn_model.training.tuning import Tuned

FOLDS = 5
FEWER_FOLDS = 3
ALL_FOLDS_BELOW = 5_000
MIN_ROWS = 30
FOLDED_SEARCH_BELOW = 20_000
OUT_OF_FOLD_UP_TO = 200_000
SAMPLED_ABOVE = 500_000
SAMPLE = 300_000

Searched = Literal["folds", "validation", "half of validation"]
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class AllRows:
    """All rows of train, then of validation. `batches` starts over on each call; `folder` has room for a binned copy of the rows."""

    batches: Callable[[], Iterable[Rows]]
    folder: Path


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A fitted model with everything that was chosen for it.

    members  the trials averaged into the model; a single one if averaging does not pay
    trials   how many the search had; the leaderboard may hold the best of them alone
    rows     the number of rows it was fitted on: train + validation
    """

    model: Model
    schema: FeatureSchema
    calibration: Calibration
    members: tuple[Member, ...]
    leaderboard: tuple[Trial, ...]
    trials: int
    searched_on: Searched
    out_of_fold: OutOfFold
    log_loss_uncalibrated: float
    log_loss_calibrated: float
    rows: int
    positives: int

    @property
    def hyperparameters(self) -> Hyperparameters:
        """The hyperparameters of the best trial."""
        return self.leaderboard[0].hyperparameters

    def probabilities(self, rows: pa.Table | pa.RecordBatch) -> FloatArray:
        """Return calibrated probabilities of canonical rows, float64 (n,). Raise InputError if the rows lack a column."""
        return self.calibration.apply(self.model.probabilities(encode(rows, self.schema, self.model.family)))


@dataclass(frozen=True, kw_only=True)
class _Prepared:
    """What the rows of two splits are for the search and the fit.

    hashes         of the rows' customers (n,)
    calibrated_on  what calibration holds out
    """

    schema: FeatureSchema
    material: Material
    hashes: npt.NDArray[np.uint64]
    calibrated_on: tuple[Part, ...]
    searched_on: Searched


def run_trial(
    train_rows: pa.Table, validation_rows: pa.Table, dataset: Dataset, proposal: Proposal, *, threads: int = 1
) -> Trial:
    """Return one trial, judged as `train` judges it on these canonical rows. Raises what `train` raises."""
    alone = replace(dataset, search=replace(dataset.search, families=(proposal.family,)))
    material = _prepare(train_rows, validation_rows, alone, threads).material
    (trial,) = judge_proposals(material, [proposal], dataset.search.metric, seed=dataset.split.seed, threads=threads)
    return trial


def train(
    train_rows: pa.Table,
    validation_rows: pa.Table,
    dataset: Dataset,
    *,
    threads: int = 1,
    all_rows: AllRows | None = None,
    tuned: Tuned | None = None,
    kept: KeptTrials | None = None,
) -> Candidate:
    """Return the candidate for these canonical rows: the same bytes for the same rows, spec and thread count.

    If `all_rows` is given, the two tables are a sample of them, and the trees chosen on the sample are fitted on all rows. If `tuned` is given,
    the search is over: its best trials are judged again, beside the settings that every search begins with. Trials that were `kept` before an
    interruption are not run again. Raise TooLittleData for fewer than 30 rows, one class, or no column to learn from; InputError for unusable rows.
    """
    prepared = _prepare(train_rows, validation_rows, dataset, threads)
    material, hashes, calibrated_on = prepared.material, prepared.hashes, prepared.calibrated_on
    fit = _Fit(material, prepared.schema, seed=dataset.split.seed, threads=threads)
    averages = len(hashes) <= OUT_OF_FOLD_UP_TO
    trials, count = find_trials(
        material, dataset.search, tuned, averages=averages, seed=fit.seed, threads=threads, kept=kept
    )
    members = (
        choose_members(trials, material, dataset.search.metric) if averages else (Member(trial=trials[0], weight=1.0),)
    )
    held = np.concatenate([part.held for part in calibrated_on])
    raw = (
        sigmoid(average_margins(members))
        if calibrated_on is material.parts
        else fit.predict_held_out(members, calibrated_on)
    )
    fitted = fit_calibration(raw, material.y[held], material.folds[held])
    model, fitted_rows, positives = fit.fit(members, all_rows)
    return Candidate(
        model=model,
        schema=prepared.schema,
        calibration=fitted.calibration,
        members=members,
        leaderboard=trials,
        trials=count,
        searched_on=prepared.searched_on,
        out_of_fold=_make_out_of_fold(train_rows.num_rows, hashes, held, material.y, fitted.calibration.apply(raw)),
        log_loss_uncalibrated=fitted.log_loss_before,
        log_loss_calibrated=fitted.log_loss_after,
        rows=fitted_rows,
        positives=positives,
    )


def _prepare(train_rows: pa.Table, validation_rows: pa.Table, dataset: Dataset, threads: int) -> _Prepared:
    """Return the rows as the search and the fit need them. Raise TooLittleData and InputError as `train` does."""
    _require_enough(train_rows, validation_rows)
    schema = fit_schema(train_rows, dataset)
    rows = pa.concat_tables([train_rows, validation_rows], promote_options="none")
    hashes = column_named(rows, "_hash").to_numpy()
    parts, calibrated_on, searched_on = _plan(train_rows.num_rows, hashes)
    encoded = _encode_families(rows, schema, dataset.search.families, threads=threads)
    y, folds, trained = read_labels(rows), _assign_folds(hashes, FOLDS), slice(train_rows.num_rows)
    trees = encoded.get("boosted_trees")
    material = Material(
        encoded=encoded,
        y=y,
        folds=folds,
        constraints=None if trees is None else choose_constraints(trees[trained], y[trained], folds[trained], schema),
        outcome_costs=_read_outcome_costs(rows, dataset),
        parts=parts,
    )
    return _Prepared(
        schema=schema, material=material, hashes=hashes, calibrated_on=calibrated_on, searched_on=searched_on
    )


def _make_out_of_fold(
    train_size: int, hashes: npt.NDArray[np.uint64], held: Indices, y: npt.NDArray[np.int8], p: FloatArray
) -> OutOfFold:
    return OutOfFold(
        splits=(held >= train_size).astype(np.int8),
        rows=np.where(held < train_size, held, held - train_size),
        customers=hashes[held],
        y=y[held],
        p=p,
    )


class _FitSettings(TypedDict):
    seed: int
    threads: int
    constraints: Constraints | None


@dataclass(frozen=True)
class _Fit:
    """Fits the chosen hyperparameters on parts of the rows."""

    material: Material
    schema: FeatureSchema
    seed: int
    threads: int

    @property
    def _settings(self) -> "_FitSettings":
        return {"seed": self.seed, "threads": self.threads, "constraints": self.material.constraints}

    def fit(self, members: Sequence[Member], all_rows: AllRows | None) -> tuple[Model, int, int]:
        """Return the model fitted on all rows, the number of rows, and the number of leavers."""
        hyper = members[0].trial.hyperparameters
        if all_rows is None or hyper.family == "linear":
            return self._fit_average(members, slice(None)), len(self.material.y), int(self.material.y.sum())
        batches = all_rows.batches

        def blocks() -> Iterator[Block]:
            for rows in batches():
                yield encode(rows, self.schema, hyper.family, threads=self.threads), read_labels(rows)

        model = fit_model_on_disk(blocks, hyper, folder=all_rows.folder, **self._settings)
        counts = np.array([(len(found), int(found.sum())) for found in map(read_labels, batches())])
        return model, int(counts[:, 0].sum()), int(counts[:, 1].sum())

    def predict_held_out(self, members: Sequence[Member], parts: tuple[Part, ...]) -> FloatArray:
        """Return uncalibrated probabilities of the held-out rows, part by part."""
        encoded = self.material.encoded[members[0].trial.hyperparameters.family]
        return np.concatenate(
            [self._fit_average(members, part.fit).probabilities(encoded[part.held]) for part in parts]
        )

    def _fit_average(self, members: Sequence[Member], rows: Indices | slice) -> Model:
        y, encoded = self.material.y[rows], self.material.encoded[members[0].trial.hyperparameters.family][rows]
        models = [fit_model(encoded, y, member.trial.hyperparameters, **self._settings) for member in members]
        return average_models(models, [member.weight for member in members])


def read_labels(rows: Rows) -> npt.NDArray[np.int8]:
    """Return the 0/1 outcomes of canonical rows, int8 (n,). Raise InputError if a row has none."""
    column = column_named(rows, "_label")
    if column is None or column.null_count:
        raise InputError(
            problem(
                expected="a label in every training row", found="rows without one", todo="ingest them as training data"
            )
        )
    y: npt.NDArray[np.int8] = column.to_numpy().astype(np.int8)
    return y


def _plan(train_size: int, hashes: npt.NDArray[np.uint64]) -> tuple[tuple[Part, ...], tuple[Part, ...], Searched]:
    """Return what the search holds out, what calibration holds out, and the name of the former."""
    count = len(hashes)
    if count < FOLDED_SEARCH_BELOW:
        parts = _make_parts(_assign_folds(hashes, FOLDS if count < ALL_FOLDS_BELOW else FEWER_FOLDS))
        return parts, parts, "folds"
    everything = np.arange(count)
    in_train, in_validation = everything[:train_size], everything[train_size:]
    if count <= OUT_OF_FOLD_UP_TO:
        return (Part(fit=in_train, held=in_validation),), _make_parts(_assign_folds(hashes, FOLDS)), "validation"
    # Other bits than those of the folds and of the splits.
    second = (hashes[in_validation] >> np.uint64(8)) % np.uint64(2) == 1
    halves = [Part(fit=in_train, held=in_validation[chosen]) for chosen in (~second, second)]
    return (halves[0],), (halves[1],), "half of validation"


def _assign_folds(hashes: npt.NDArray[np.uint64], count: int) -> Indices:
    return (hashes % np.uint64(count)).astype(np.int64)


def _make_parts(folds: Indices) -> tuple[Part, ...]:
    return tuple(
        Part(fit=np.flatnonzero(folds != fold), held=np.flatnonzero(folds == fold)) for fold in np.unique(folds)
    )


def _encode_families(
    rows: pa.Table, schema: FeatureSchema, families: Sequence[Family], *, threads: int
) -> dict[Family, Encoded]:
    """Encode the rows for each family; both tree families share one matrix."""
    found: dict[Family, Encoded] = {}
    trees: Encoded | None = None
    for family in families:
        if family == "linear":
            found[family] = encode(rows, schema, family, threads=threads)
        else:
            trees = encode(rows, schema, family, threads=threads) if trees is None else trees
            found[family] = trees
    return found


def _read_outcome_costs(rows: pa.Table, dataset: Dataset) -> OutcomeCosts | None:
    """Return the cost of each outcome if the search metric is cost, which is the only way costs reach a model."""
    if dataset.search.metric != "cost":
        return None
    policy = Policy(dataset.costs)
    return policy.outcome_costs(policy.worth(rows))


def _require_enough(train_rows: pa.Table, validation_rows: pa.Table) -> None:
    problems = []
    if train_rows.num_rows < MIN_ROWS:
        problems.append(
            problem(
                expected=f"at least {MIN_ROWS} rows to train on", found=str(train_rows.num_rows), todo="land more data"
            )
        )
    for name, rows in (("train", train_rows), ("validation", validation_rows)):
        y = read_labels(rows)
        left = int(y.sum())
        if left in (0, len(y)):
            found = "no row" if not len(y) else f"only customers who {'left' if left else 'stayed'} among {len(y)}"
            problems.append(
                problem(
                    expected=f"both classes in {name}", found=found, todo="check the label's values, or land more data"
                )
            )
    if problems:
        raise TooLittleData(listed(problems))
