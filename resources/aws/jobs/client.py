"""Start a job or find it, wait for it, stop it, explain it."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Protocol

from churn_model.errors import problem
from resources.aws.jobs.clock import Clock, Pace, SystemClock
from resources.aws.jobs.failures import Ending, JobFailed
from resources.aws.jobs.kinds import COMPLETED, ENDED, RUNNING, Description, JobKind
from resources.aws.jobs.limits import require_within_limits
from resources.aws.jobs.logs import JobLog
from resources.aws.jobs.names import ASKED_BY_TAG, MOST_ATTEMPTS, TRY_TAG, Work
from resources.aws.jobs.sending import TRANSIENT, ask_patiently
from resources.aws.session import aws_errors, code_of
from resources.errors import StepFailed

_MOST_TRIES = 3  # of one asker, where the platform was at fault
_SHORTEST, _LONGEST = 5.0, 60.0  # seconds between two calls
_CREATE_PATIENCE = 3600.0  # seconds to wait for a quota
_WATCH_PATIENCE = 1800.0  # seconds to bear that SageMaker cannot be asked
_TAKEN = frozenset({"ResourceInUse", "ResourceInUseException"})
_ABSENT = ("Could not find", "RecordNotFound", "does not exist", "not found")
_QUOTA = "ResourceLimitExceeded"
_NOTHING_ALLOWED = re.compile(r"is 0 \w")  # a quota of 0 is not free again when another job ends


class BuildRequest(Protocol):
    """Makes the request of a job, but for its name and tags."""

    def __call__(self, name: str) -> Mapping[str, Any]:
        """Return the request of the job with this name."""


class JobClient:
    """One client for the four kinds of job.

    sagemaker, logs     clients of boto3
    say                 takes a line about a job's progress
    show                takes a line of a job's log
    is_cancelled        whether a person has cancelled the run; asked if this process is told to end
    shortest, longest   seconds between two calls about one job
    """

    def __init__(
        self,
        sagemaker: Any,
        logs: Any,
        *,
        say: Callable[[str], None],
        show: Callable[[str], None],
        is_cancelled: Callable[[], bool] = lambda: False,
        clock: Clock | None = None,
        shortest: float = _SHORTEST,
        longest: float = _LONGEST,
    ) -> None:
        self._sagemaker, self._logs, self._say, self._show = sagemaker, logs, say, show
        self._clock = clock or SystemClock()
        self._is_cancelled, self._shortest, self._longest = is_cancelled, shortest, longest

    def run(self, work: Work, build: BuildRequest, is_whole: Callable[[Description], bool]) -> Description:
        """Have the work done by one job, whoever has started it, and return its description.

        is_whole: whether a completed job's result is there. Raise JobFailed if the job failed, was stopped, or left no result.
        """
        attempt, found = self._find_last(work)
        tries = 1
        while True:
            is_new, asked_again = found is None, False
            if found is None:
                found = self._create(work, attempt, tries, build)
            else:
                tags = self._tags(work, found)
                asked_again = not work.asked_by or tags.get(ASKED_BY_TAG) != work.asked_by
                tries = 1 if asked_again else int(tags.get(TRY_TAG, "1"))
            had_ended = work.kind.status_of(found) != "InProgress"
            ended, tail = self._wait(work.kind, found, attached=not is_new)
            if work.kind.status_of(ended) == COMPLETED:
                if is_whole(ended):
                    return ended
                if is_new:
                    raise self._without_result(work.kind, ended)
            elif not (asked_again and had_ended):
                tries = self._next_try(work, ended, tries, tail)
            attempt, found = attempt + 1, None

    def find(self, kind: JobKind, name: str) -> Description | None:
        """Return the description of a job, or None if there is none of that name."""
        from botocore.exceptions import ClientError

        with aws_errors(StepFailed, f"to look up {kind.words} {name}"):
            try:
                found: Description = self._call(f"describe_{kind.method}", **{kind.name_field: name})
            except ClientError as error:
                if code_of(error) == "ResourceNotFound" or any(text in str(error) for text in _ABSENT):
                    return None
                raise
            return found

    def stop(self, kind: JobKind, name: str) -> None:
        """Stop a job. One that has ended, or is stopping already, stays as it is."""
        from botocore.exceptions import ClientError

        with aws_errors(StepFailed, f"to stop {kind.words} {name}"):
            try:
                self._call(f"stop_{kind.method}", **{kind.name_field: name})
            except ClientError:
                found = self.find(kind, name)
                if found is not None and kind.status_of(found) == "InProgress":
                    raise

    def link(self, kind: JobKind, name: str) -> str:
        """Return the address of a job's page in the console."""
        return kind.link(self._sagemaker.meta.region_name, name)

    def _call(self, method: str, **arguments: Any) -> Any:
        return getattr(self._sagemaker, method)(**arguments)

    def _find_last(self, work: Work) -> tuple[int, Description | None]:
        """Return the number and the description of the last attempt at the work; 0 and None if there is none."""
        last: tuple[int, Description | None] = (0, None)
        for attempt in range(MOST_ATTEMPTS):
            found = self.find(work.kind, work.name(attempt))
            if found is None:
                return last
            last = (attempt, found)
        return last

    def _tags(self, work: Work, description: Description) -> Mapping[str, str]:
        """Return a job's tags. Raise StepFailed if it is not a job of this work."""
        name = work.kind.name_of(description)
        with aws_errors(StepFailed, f"to read the tags of {work.kind.words} {name}"):
            tags: dict[str, str] = {}
            arguments = {"ResourceArn": work.kind.arn_of(description)}
            while True:
                page = self._call("list_tags", **arguments)
                tags |= {tag["Key"]: tag["Value"] for tag in page["Tags"]}
                if not page.get("NextToken"):
                    break
                arguments["NextToken"] = page["NextToken"]
        foreign = {key: tags.get(key, "none") for key, value in work.identity.items() if tags.get(key) != value}
        if foreign:
            raise StepFailed(
                problem(
                    expected=f"{work.kind.words} {name} to be of {dict(work.identity)}",
                    found=f"a job of that name with {foreign}",
                    todo="another installation may use the same account and stack name: give this one another",
                )
            )
        return tags

    def _create(self, work: Work, attempt: int, tries: int, build: BuildRequest) -> Description:
        """Create a job, or find the one of that name that another run, or this call before its response was lost, has created."""
        if attempt >= MOST_ATTEMPTS:
            raise StepFailed(
                problem(
                    expected=f"at most {MOST_ATTEMPTS} attempts at {work.name(0)}",
                    found="that all have failed",
                    todo="correct what fails; a change of the data, the spec or the code gives new names",
                )
            )
        name = work.name(attempt)
        tags = [{"Key": key, "Value": value} for key, value in work.tags(tries).items()]
        request = {**build(name), work.kind.name_field: name}
        request["Tags"] = [*tags, *request.get("Tags", ())]
        require_within_limits(self._sagemaker.meta.service_model, f"Create{work.kind.resource}", request)
        with self._ended_with_run(work.kind, name):
            with aws_errors(StepFailed, f"{work.kind.words} {name} to start"):
                self._send(work.kind, name, request)
            found = self._require(work.kind, name)
            self._tags(work, found)
        self._say(f"{work.kind.words} {name}: {self.link(work.kind, name)}")
        return found

    def _send(self, kind: JobKind, name: str, request: Mapping[str, Any]) -> None:
        """Send a create. Wait for a quota; leave a job that exists as it is."""
        from botocore.exceptions import ClientError, HTTPClientError

        pace, begin = Pace(self._clock, self._shortest, self._longest), self._clock.now()
        while True:
            try:
                self._call(f"create_{kind.method}", **request)
                return
            except ClientError as error:
                code = code_of(error)
                if code in _TAKEN or (code in TRANSIENT and self.find(kind, name) is not None):
                    return
                # Processing and transform jobs of a taken name are a ValidationException in some regions.
                if "already exist" in str(error):
                    return
                passes = code in TRANSIENT or (code == _QUOTA and not _NOTHING_ALLOWED.search(str(error)))
                if not passes or self._clock.now() - begin > _CREATE_PATIENCE:
                    raise
                self._say(f"{kind.words} {name} waits to be started: {error}")
            except HTTPClientError:  # no response: it may have been created all the same
                if self.find(kind, name) is not None:
                    return
                if self._clock.now() - begin > _CREATE_PATIENCE:
                    raise
            pace.wait()

    def _require(self, kind: JobKind, name: str) -> Description:
        """Return the description of a job that was just created: SageMaker may need a moment to know it."""
        pace = Pace(self._clock, self._shortest / 5, self._longest)
        for _ in range(5):
            found = self.find(kind, name)
            if found is not None:
                return found
            pace.wait()
        raise StepFailed(
            problem(expected=f"{kind.words} {name} after it was created", found="none", todo="run the job again")
        )

    def _wait(self, kind: JobKind, description: Description, *, attached: bool) -> tuple[Description, Sequence[str]]:
        """Wait until a job has ended, and return its description and, unless it has completed, the last lines of its log.

        Raise JobFailed at a status that this code does not know.
        """
        name = kind.name_of(description)
        log = JobLog(self._logs, kind, name, self._clock, self._show)
        with self._ended_with_run(kind, name):
            description = self._follow(kind, name, description, log, attached=attached)
        status = kind.status_of(description)
        tail = log.finish()
        if status not in ENDED:
            raise Ending.of(kind, description).error(kind, name, self.link(kind, name), tail)
        return description, tail

    def _follow(
        self, kind: JobKind, name: str, description: Description, log: JobLog, *, attached: bool
    ) -> Description:
        """Describe a job until it runs no more, and say what changes."""
        pace, said = Pace(self._clock, self._shortest, self._longest), ""
        if attached and kind.status_of(description) in RUNNING:
            self._say(f"found {kind.words} {name}, which is running: {self.link(kind, name)}")
        while kind.status_of(description) in RUNNING:
            now = f"{kind.status_of(description)} {kind.progress(description)}".strip()
            if now != said:
                self._say(f"{name}: {now}")
                said = now
            pace.wait()
            with aws_errors(StepFailed, f"to look up {kind.words} {name}, which goes on"):
                description = ask_patiently(
                    partial(self._call, f"describe_{kind.method}", **{kind.name_field: name}),
                    self._clock,
                    pace,
                    _WATCH_PATIENCE,
                )
            log.poll()
        return description

    @contextmanager
    def _ended_with_run(self, kind: JobKind, name: str) -> Iterator[None]:
        """If this process is told to end, stop the job if a person has cancelled the run, and leave it to the next run otherwise."""
        try:
            yield
        except Exception:
            raise
        except BaseException:
            if self._is_cancelled():
                self._say(f"{kind.words} {name} is stopped, since its run was cancelled")
                self.stop(kind, name)
            else:
                self._say(f"{kind.words} {name} goes on; the next run finds it: {self.link(kind, name)}")
            raise

    def _next_try(self, work: Work, ended: Description, tries: int, tail: Sequence[str]) -> int:
        """Return the number of the next try if the platform was at fault, after a pause. Raise JobFailed otherwise, or after the third."""
        kind, name = work.kind, work.kind.name_of(ended)
        ending = Ending.of(kind, ended)
        if not ending.is_platforms or tries >= _MOST_TRIES:
            raise ending.error(kind, name, self.link(kind, name), tail)
        self._say(f"{kind.words} {name} failed through no fault of its own, and is started again: {ending.reason}")
        self._clock.sleep(self._longest * 2 ** (tries - 1))
        return tries + 1

    def _without_result(self, kind: JobKind, ended: Description) -> JobFailed:
        name, link = kind.name_of(ended), self.link(kind, kind.name_of(ended))
        text = problem(
            expected=f"the result of {kind.words} {name}, which has completed",
            found="no report of this version with all its files",
            todo="run the job again; if the same happens, look at its log",
        )
        return JobFailed(f"{text}\n{link}", job=name, status=COMPLETED, reason="no result", link=link)
