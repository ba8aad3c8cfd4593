"""What can go wrong with a model bundle.

ScoringError
├── BundleRefused      the bundle is not what was registered, or can't be served
└── ScorerUnavailable  a served bundle can't answer just now; the next call may
"""


class ScoringError(Exception):
    """The message is one sentence, fit to be shown."""


class BundleRefused(ScoringError):
    """The bundle is not what was registered, or can't be served; the message locates the fault."""


class ScorerUnavailable(ScoringError):
    """A served bundle can't answer just now; the next call may."""
