"""What SageMaker tells the server of a model, of Batch Transform and of an endpoint: a request and the spec, as environment variables.
It has no files for them.

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
JOB_CHARACTERS = 10_000
"""Of a variable of a transform job, whose limit is 10,240."""
MODEL_CHARACTERS = 1_000
"""Of a variable of a model, whose limit is 1,024 bytes."""


def to_variables(dataset: Dataset, request: Mapping[str, Any], characters: int = JOB_CHARACTERS) -> dict[str, str]:
    """Return the variables of a request, in ASCII, each of so many characters at most. Too many of them are for SageMaker's limits to refuse."""
    spec = json.dumps(json.loads(dataset.to_json()), separators=(",", ":"))
    starts = range(0, len(spec), characters)
    pieces = {_SPEC.format(number): spec[start : start + characters] for number, start in enumerate(starts)}
    return {REQUEST: json.dumps(dict(request)), **pieces}


def from_variables(environment: Mapping[str, str]) -> tuple[Dataset, Mapping[str, Any]]:
    """Return the spec and the request that `to_variables` wrote. Raise SpecError, KeyError or ValueError for anything else."""
    names = takewhile(environment.__contains__, map(_SPEC.format, count()))
    return Dataset.from_json("".join(environment[name] for name in names)), json.loads(environment[REQUEST])
