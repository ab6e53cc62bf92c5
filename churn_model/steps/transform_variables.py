"""What Batch Transform tells the server of a model: the step's request and the spec, as environment variables. It has no files for them.

CHURN_REQUEST  the step's request, as JSON
CHURN_SPEC_0   the spec as the step may see it, as JSON; what is longer than a variable goes on in CHURN_SPEC_1, and so on
"""

import json
from collections.abc import Mapping
from itertools import count, takewhile
from typing import Any

from churn_model.spec.dataset import Dataset

REQUEST = "CHURN_REQUEST"
PARQUET = "application/vnd.apache.parquet"
MOST_BYTES = 100 << 20
"""SageMaker's own limit of a request's body."""
_SPEC = "CHURN_SPEC_{}"
_CHARACTERS = 10_000  # SageMaker's limit of a variable is 10,240


def to_variables(dataset: Dataset, request: Mapping[str, Any]) -> dict[str, str]:
    """Return the variables of a request. Nothing is cut: too many of them are for SageMaker's limits to refuse."""
    spec = dataset.to_json()
    starts = range(0, len(spec), _CHARACTERS)
    pieces = {_SPEC.format(number): spec[start : start + _CHARACTERS] for number, start in enumerate(starts)}
    return {REQUEST: json.dumps(dict(request)), **pieces}


def from_variables(environment: Mapping[str, str]) -> tuple[Dataset, Mapping[str, Any]]:
    """Return the spec and the request that `to_variables` wrote. Raise SpecError, KeyError or ValueError for anything else."""
    names = takewhile(environment.__contains__, map(_SPEC.format, count()))
    return Dataset.from_json("".join(environment[name] for name in names)), json.loads(environment[REQUEST])
