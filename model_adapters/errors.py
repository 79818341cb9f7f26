"""The one exception a model raises when it cannot do what was asked."""


class AdapterError(RuntimeError):
    """A model cannot do what was asked: the message says what was asked, what was given and what would work."""
