"""Data sets: listed in chunks, streamed, and read record by record in threads."""

from studies.data.record import Pending, Record
from studies.data.source import KINDS, Source, opened

__all__ = ["KINDS", "Pending", "Record", "Source", "opened"]
