"""`python -m churn_model.steps <name>`: run one step and end the process."""

import importlib
import sys
from contextlib import suppress

import pyarrow as pa

from churn_model.steps.contract import run_step

# XGBoost imports all of scikit-learn and SciPy for its estimators, and pyarrow imports pandas at the first Python value that it is given,
# wherever they find them; no step uses those, and the imports take longer than most steps' work. To a process in which the module is None,
# the package is not installed.
sys.modules["sklearn"] = None  # type: ignore[assignment]
sys.modules["pandas"] = None  # type: ignore[assignment]
with suppress(AttributeError):  # pyarrow looks for pandas once, and looks into the None
    pa.scalar(0)

if __name__ == "__main__":
    run_step(sys.argv[1], importlib.import_module(f"churn_model.steps.{sys.argv[1]}").step)
