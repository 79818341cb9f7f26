"""What goes wrong with a study as a whole, said in one sentence."""

from __future__ import annotations


class StudyError(RuntimeError):
    """The study cannot be run, or not go on: the sentence says why, and what would work."""


class DamagedStudy(UserWarning):
    """Some files of a study are missing or changed: what was asked is answered from the rest."""


class Unreadable(ValueError):
    """One record cannot be read; it is listed with this reason, and skipped."""
