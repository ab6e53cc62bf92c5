"""What `churn clean` does not touch."""

from pathlib import Path

from tests.conftest import Workspace


def test_a_lake_on_s3_is_left_alone_and_it_is_said_why(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    workspace.settings |= {
        "CHURN_TARGET": "aws",
        "CHURN_LAKE": "s3://some-bucket/lake",
        "CHURN_STACK": "churn",
        "AWS_REGION": "eu-central-1",
        "CHURN_ROLE": "arn:aws:iam::123456789012:role/churn",
    }
    assert workspace.churn("clean", "--yes") == 2
    assert "cannot see whether another one runs" in workspace.output
    assert "Leave its versions: they cost storage and nothing else" in workspace.output
