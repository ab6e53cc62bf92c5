"""`python -m churn_model.steps <name>`: run one step and end the process."""

import importlib
import sys

from churn_model.steps.contract import run_step

# XGBoost imports all of scikit-learn and SciPy for its estimators, wherever it finds them; no step uses those, and that import takes
# longer than most steps' work. To a process in which the module is None, the package is not installed.
sys.modules["sklearn"] = None  # type: ignore[assignment]

if __name__ == "__main__":
    run_step(sys.argv[1], importlib.import_module(f"churn_model.steps.{sys.argv[1]}").step)
