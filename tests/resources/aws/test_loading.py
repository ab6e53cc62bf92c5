"""What loading the definitions costs, which every run and every look of the UI pays: no credentials, no request, no large library."""

import os
import subprocess
import sys
from pathlib import Path

from resources.settings import PROJECT

_LOAD = """
import sys
from churn_assets.definitions import defs
assert defs().resolve_all_asset_keys()
large = {"xgboost", "sklearn", "pandas", "scipy", "matplotlib", "skrub", "shap", "optuna"}
loaded = {"boto3", "botocore", "awswrangler", "sagemaker", "moto", *large} & set(sys.modules)
print(*sorted(loaded))
"""


def test_loading_needs_no_credentials_and_imports_neither_aws_nor_what_learns_and_draws(tmp_path: Path) -> None:
    settings = {
        "CHURN_TARGET": "aws",
        "CHURN_LAKE": "s3://no-such-bucket",
        "CHURN_ROLE": "arn:aws:iam::123456789012:role/jobs",
        "CHURN_HOME": str(tmp_path),
        "DAGSTER_HOME": "",
    }
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    command = [sys.executable, "-P", "-c", _LOAD]
    loaded = subprocess.run(
        command,
        cwd=tmp_path,
        env=kept | settings | {"PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert loaded.stdout.split() == []
