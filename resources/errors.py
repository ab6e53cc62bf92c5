"""Errors of the command line, the lake and the adapters. Adapters translate foreign errors into these, `from error`.

ChurnError                  (churn_model.errors)
├── CommandError            a command's arguments, or the files it is to work with, are invalid
│   └── SettingsError       an environment variable is invalid
├── LakeError               the folder or bucket refused an operation
│   ├── NotInLake           there is no object with this key
│   ├── DamagedError        an object is not as it was written
│   ├── SwapConflict        another writer moved the pointer first
│   └── PublishError        a version's files are missing or incomplete
├── TablesError             the catalog or the query engine refused an operation
│   └── TablesBusy          another process holds the tables for a moment
├── StepFailed              a step ended without a report
│   └── StepKilled          a signal ended the step's process, as the system does if memory runs short
├── PromotionError          the candidate cannot be promoted by a person
├── EventsError             a queue of events refused an operation
├── RegistryError           the model registry refused an operation
├── EndpointError           an endpoint does not serve what it is to serve, or refused a request
└── RollbackError           the champion cannot be rolled back to that model
"""

from churn_model.errors import ChurnError


class CommandError(ChurnError):
    """A command's arguments, or the files it is to work with, are invalid."""


class SettingsError(CommandError):
    """An environment variable is invalid."""


class LakeError(ChurnError):
    """The folder or bucket refused an operation."""


class NotInLake(LakeError):
    """There is no object with this key."""


class DamagedError(LakeError):
    """An object is not as it was written."""


class SwapConflict(LakeError):
    """Another writer moved the pointer first."""


class PublishError(LakeError):
    """A version's files are missing or incomplete."""


class TablesError(ChurnError):
    """The catalog or the query engine refused an operation."""


class TablesBusy(TablesError):
    """Another process holds the tables for a moment."""


class StepFailed(ChurnError):
    """A step ended without a report."""


class StepKilled(StepFailed):
    """A signal ended the step's process, as the system does if memory runs short."""


class PromotionError(ChurnError):
    """The candidate cannot be promoted by a person."""


class EventsError(ChurnError):
    """A queue of events refused an operation."""


class RegistryError(ChurnError):
    """The model registry refused an operation."""


class EndpointError(ChurnError):
    """An endpoint does not serve what it is to serve, or refused a request."""


class RollbackError(ChurnError):
    """The champion cannot be rolled back to that model."""


PASSING = (SwapConflict, TablesBusy)
"""What passes by itself: the same work, done again a little later, succeeds."""
