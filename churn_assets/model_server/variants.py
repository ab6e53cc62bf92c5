"""Two models behind one address: the champion and a challenger that answers a share of the customers, watched by a guard."""

from churn_assets.model_server.ab_test import AbTest
from churn_assets.model_server.champion import ServedModel
from churn_assets.model_server.faults import log_fault
from churn_assets.model_server.options import Candidate
from churn_model.arrays import BoolArray
from churn_model.serving.dividing import Divided, Division
from churn_model.serving.plan import Plan
from churn_model.serving.requests import BadRequest
from churn_model.serving.shadow import Shadow

CHAMPION = "champion"
VARIANT_HEADER = "x-variant"
"""In an answer the variant that gave it; in a request the one that is to answer, whatever the shares."""


class Router:
    """Chooses who answers. `test`: what watches the challenger; None if nothing does."""

    def __init__(
        self,
        champion: ServedModel,
        candidate: ServedModel | None = None,
        option: Candidate | None = None,
        test: AbTest | None = None,
    ) -> None:
        self._champion, self._candidate, self._option, self._test = champion, candidate, option, test
        self._notes_failed = False
        self.division = division_of(champion.name, option) if option else Division(salt="", share=0.0)

    @property
    def models(self) -> list[ServedModel]:
        """All that answer."""
        return [self._champion, *([self._candidate] if self._candidate else [])]

    @property
    def is_shadow(self) -> bool:
        """Whether the candidate answers nobody, and is asked all the same."""
        return self._option is not None and self._option.shadow

    def choose(self, asked: str) -> tuple[str, ServedModel]:
        """Return a variant's name and its model: the one that a request asks for, or the champion, also in the place of a candidate that was
        withdrawn. Raise BadRequest for another name.
        """
        if self._candidate is None or self._option is None or not asked or self._is_withdrawn(asked):
            return CHAMPION, self._champion
        named = {CHAMPION: self._champion, self._option.name: self._candidate}
        if asked not in named:
            expected = f"{VARIANT_HEADER} {' or '.join(named)}"
            raise BadRequest(400, expected=expected, found=asked[:40], todo="correct it, or leave it out")
        return asked, named[asked]

    def _is_withdrawn(self, asked: str) -> bool:
        return (
            self._test is not None
            and self._test.is_withdrawn
            and self._option is not None
            and asked == self._option.name
        )

    def challenger(self) -> Plan | None:
        """Return the plan that answers a share of the customers. None if there is none, it is not loaded, or the guard withdrew it."""
        if (
            self._candidate is None
            or (not self.division.share and not self.is_shadow)
            or (self._test and self._test.is_withdrawn)
        ):
            return None
        return self._candidate.plan

    def names(self, is_challenger: BoolArray) -> str:
        """Return who answered, as the header names them: both, if each answered some of the rows (n,)."""
        challenger = self._option.name if self._option else ""
        both = (CHAMPION, not is_challenger.all() or not len(is_challenger)), (challenger, is_challenger.any())
        return ", ".join(name for name, is_one in both if is_one)

    def observe(self, answered: Divided, seconds: float) -> None:
        """Note the answer to one customer, for the guard. That it cannot be noted is logged once, and keeps the answer from nobody."""
        if self._test is None or not answered.is_alone or answered.customers[0] is None:
            return
        try:
            self._test.observe(
                self.division.position(answered.customers[0]),
                is_challenger=bool(answered.is_challenger[0]),
                failed=answered.response.status >= 400,
                seconds=seconds,
                probability=answered.probability,
            )
        except OSError as error:  # a full disk, a folder that was removed
            if not self._notes_failed:
                log_fault(error)
            self._notes_failed = True

    def observe_shadow(self, shadow: Shadow) -> None:
        """Note what both models decided of the rows of a request."""
        if self._test:
            self._test.observe_shadow(shadow)

    def end(self) -> None:
        """Keep what was noted: the worker ends."""
        if self._test:
            self._test.keep_shadow()

    def look(self) -> None:
        """Let the guard look, if it is time."""
        if self._test:
            self._test.look()


def division_of(dataset: str, option: Candidate) -> Division:
    """Return the division of a test: the same for all workers, and after a restart. Another name or version divides anew."""
    return Division(salt=f"{dataset}:{option.name}:{option.version}", share=option.share)
