"""No registry beside the lake: on one machine the history of decisions in the lake is all there is."""

from resources.ports.registry import Approval, Registry


class LocalRegistry(Registry):
    """Mirrors nothing, and nobody approves anything in it: `churn promote` does."""

    def mirror(self, dataset: str) -> None:
        """Do nothing: `<dataset>/decisions/` is what people read."""

    def find_approval(self, dataset: str, version: str) -> Approval:
        """Return PENDING."""
        return Approval.PENDING
