"""The process of a step."""

import subprocess
import sys

from resources.settings import PROJECT


def printed(script: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", script], cwd=PROJECT, check=True, capture_output=True, text=True
    ).stdout.strip()


def test_a_steps_process_imports_xgboost_without_scikit_learn_and_scipys_statistics() -> None:
    code = "import sys, churn_model.steps.__main__, churn_model.steps.train; print([m for m in ('xgboost', 'scipy.stats') if m in sys.modules])"
    assert printed(code) == "['xgboost']"


def test_a_steps_process_does_without_pandas_where_its_libraries_look_for_it() -> None:
    code = (
        "import churn_model.steps.__main__, pyarrow as pa, pyarrow.compute as pc, sys, xgboost, optuna\n"
        "pc.equal(pa.array([1.5]), 1), pa.array([1.5, None], from_pandas=True), xgboost.DMatrix([[1.5]], label=[1])\n"
        "print([name for name in sys.modules if name.startswith('pandas')])"
    )
    assert printed(code) == "['pandas']"
