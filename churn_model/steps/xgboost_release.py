"""Whether a model's server runs on the release of XGBoost that it was sent to."""

from collections.abc import Mapping
from typing import Any

import xgboost as xgb

from churn_model.errors import ChurnError, problem


def require_xgboost(request: Mapping[str, Any]) -> None:
    """Raise ChurnError unless the image has the release of XGBoost that a request names, if it names one."""
    if request["xgboost"] and xgb.__version__ != request["xgboost"]:
        raise ChurnError(
            problem(
                expected=f"an image with XGBoost {request['xgboost']}",
                found=xgb.__version__,
                todo="set CHURN_IMAGE to one that has it, or leave it out",
            )
        )
