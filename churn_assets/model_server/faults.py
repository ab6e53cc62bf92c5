"""How a bug is logged: where it is, never what was asked."""

import logging
import traceback

LOG = logging.getLogger("churn.model_server")


def log_fault(error: BaseException) -> None:
    """Log where an error came from. Its message may hold values, so it is left out."""
    frames = "".join(traceback.format_list(traceback.extract_tb(error.__traceback__)))
    LOG.error("%s\n%s", type(error).__name__, frames)
