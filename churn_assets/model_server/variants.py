"""Two models behind one address: the champion and a candidate, each with a share of the requests, by chance."""

import random
from collections.abc import Callable

from churn_assets.model_server.champion import ServedModel
from churn_assets.model_server.options import Candidate
from churn_model.serving.requests import BadRequest

CHAMPION = "champion"
VARIANT_HEADER = "x-variant"
"""In an answer the variant that gave it; in a request the one that is to answer, whatever the shares."""


class Router:
    """Chooses who answers a request.

    chance   gives a number from 0 to below 1
    """

    def __init__(
        self,
        champion: ServedModel,
        candidate: ServedModel | None = None,
        option: Candidate | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._champion, self._candidate, self._option, self._chance = champion, candidate, option, chance

    @property
    def models(self) -> list[ServedModel]:
        """All that answer."""
        return [self._champion, *([self._candidate] if self._candidate else [])]

    def choose(self, asked: str) -> tuple[str, ServedModel]:
        """Return a variant's name and its model: the one that a request asks for, or by chance. Raise BadRequest for another name.

        A candidate that is not loaded leaves its share to the champion.
        """
        if self._candidate is None or self._option is None:
            return CHAMPION, self._champion
        named = {CHAMPION: self._champion, self._option.name: self._candidate}
        if asked:
            if asked not in named:
                expected = f"{VARIANT_HEADER} {' or '.join(named)}"
                raise BadRequest(400, expected=expected, found=asked[:40], todo="correct it, or leave it out")
            return asked, named[asked]
        if self._candidate.plan is not None and self._chance() < self._option.share:
            return self._option.name, self._candidate
        return CHAMPION, self._champion
