"""What can go wrong between us and the outside, drawn once. Adapters translate foreign errors into these, `from error`.

ChurnError                  (churn_model.errors)
├── CommandError            a command's arguments, or what it is to work with, are not as they must be
│   └── SettingsError       the environment says something we cannot use
├── LakeError               the folder or bucket did not do what was asked
│   ├── NotInLake           no such key
│   ├── SwapConflict        somebody else moved the pointer first
│   └── PublishError        what was to be published is not whole
├── TablesError             the catalogue or the query engine refused
├── StepFailed              a step ended without its report
└── RegistryError           the registry does not know that version
"""

from churn_model.errors import ChurnError


class CommandError(ChurnError):
    """A command's arguments, or what it is to work with, are not as they must be."""


class SettingsError(CommandError):
    """The environment says something we cannot use."""


class LakeError(ChurnError):
    """The folder or bucket did not do what was asked."""


class NotInLake(LakeError):
    """No such key."""


class SwapConflict(LakeError):
    """Somebody else moved the pointer first."""


class PublishError(LakeError):
    """What was to be published is not whole."""


class TablesError(ChurnError):
    """The catalogue or the query engine refused."""


class StepFailed(ChurnError):
    """A step ended without its report."""


class RegistryError(ChurnError):
    """The registry does not know that version."""
