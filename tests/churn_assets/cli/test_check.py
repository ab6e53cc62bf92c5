from typing import TYPE_CHECKING

from churn_assets.cli.command import ExitCode

if TYPE_CHECKING:
    from tests.conftest import Workspace


def test_a_spec_that_cannot_be_used_ends_the_check_with_code_2(workspace: "Workspace") -> None:
    workspace.write_spec("shop", "label: {column: left, positive: [yes], means: cancelled}\n")
    assert workspace.churn("check") == ExitCode.DONE
    assert "1 can be used, 0 cannot." in workspace.output
    workspace.write_spec("other", "label: {column: left}\nflavour: sweet\n")
    assert workspace.churn("check") == ExitCode.MISUSED
    assert "other.yaml:2: flavour" in workspace.output
    assert "1 can be used, 1 cannot." in workspace.output
