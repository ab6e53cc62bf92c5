"""Why a job did not give a result, as one error."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from churn_model.errors import problem
from resources.aws.jobs.kinds import FAILED, STOPPED, Description, JobKind
from resources.aws.session import find_remedy
from resources.errors import StepFailed

CRASHED = "exit code "
"""What `start.py` writes before the words of a step that ended otherwise than on purpose."""
KILLED = "signal "
_ON_PURPOSE = 2
_PLATFORM = ("CapacityError", "InternalServerError")
_ALGORITHM_ERROR = re.compile(r"AlgorithmError: ?(?P<words>.*?),? ?exit code: (?P<code>\d+)$", re.DOTALL)
_NEXT = "see the end of its log below and the console, then run the job again: that starts a new attempt"
_REMEDIES = {
    "MaxRuntimeExceeded": "raise `hours` in CHURN_JOBS, or choose a larger instance type",
    "MaxWaitTimeExceeded": "run the job again when there is more capacity, which goes on from the trials that have ended; raise `spot_hours` in "
    "CHURN_JOBS, or name another type in `training_instances`",
    "CapacityError": "run the job again later, or name more instance types in order of preference",
    "InternalServerError": "run the job again; SageMaker itself has failed",
    STOPPED: "run the job again if nobody meant to stop it: that starts a new attempt",
}


class JobFailed(StepFailed):
    """A job has ended without a result, or in a status that is none of success.

    log    its last lines
    link   its page in the console
    """

    def __init__(self, message: str, *, job: str, status: str, reason: str, link: str, log: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.job, self.status, self.reason, self.link, self.log = job, status, reason, link, tuple(log)


@dataclass(frozen=True)
class Ending:
    """How a job has ended, from its description."""

    status: str
    reason: str  # SageMaker's own words and the step's
    refusal: str  # the step's words, if it refused its input on purpose
    is_platforms: bool  # the platform was at fault: another attempt may succeed

    @classmethod
    def of(cls, kind: JobKind, description: Description) -> "Ending":
        """Read a description."""
        reason = str(description.get("FailureReason", "")).strip()
        words = str(description.get("ExitMessage", "")).strip()
        parts = _ALGORITHM_ERROR.match(reason)
        code = int(parts["code"]) if parts else None
        spoken = words or (parts["words"].strip() if parts else "")
        on_purpose = bool(spoken) and (code == _ON_PURPOSE or (code is None and bool(words)))
        if spoken.startswith((CRASHED, KILLED)):
            on_purpose = False
        status = kind.status_of(description)
        secondary = str(description.get("SecondaryStatus", ""))
        late = secondary if secondary in _REMEDIES else ""
        texts = list(dict.fromkeys(text for text in (late, words, reason) if text))
        if words and words in reason:
            texts.remove(words)
        return cls(
            status=status,
            reason="; ".join(texts),
            refusal=spoken if on_purpose and status == FAILED else "",
            is_platforms=status == FAILED and reason.startswith(_PLATFORM),
        )

    def error(self, kind: JobKind, name: str, link: str, log: Sequence[str]) -> JobFailed:
        """Return the error: the step's own words alone if it refused, and everything that is known otherwise."""
        known = (text for word, text in _REMEDIES.items() if word in f"{self.reason} {self.status}")
        todo = find_remedy(self.reason) or next(known, _NEXT)
        text = self.refusal or "\n".join(
            [
                problem(
                    expected=f"{kind.words} {name} to complete",
                    found=f"{self.status}: {self.reason or 'no reason given'}",
                    todo=todo,
                ),
                *log,
                link,
            ]
        )
        return JobFailed(text, job=name, status=self.status, reason=self.reason, link=link, log=log)
