"""The process of a step."""

import subprocess
import sys

from resources.settings import PROJECT


def test_a_steps_process_imports_xgboost_without_scikit_learn_and_scipys_statistics() -> None:
    code = "import sys, churn_model.steps.__main__, churn_model.steps.train; print([m for m in ('xgboost', 'scipy.stats') if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, check=True, capture_output=True, text=True).stdout
    assert out == "['xgboost']\n"
