"""The same analyses over a data set: engines, a store of rows, resuming, and a command line.

A study is declared (`spec`), its data listed as shards (`data`), each shard is read, run and measured by an engine's worker
(`work`, `running`, `measures`), and its rows are written into a store (`store`) that is read with SQL (`reading`).
"""

from studies.errors import StudyError, Unreadable
from studies.spec import DataSpec, EditSpec, MeasureSpec, ModelSpec, Study, read_study, study_of

__all__ = ["DataSpec", "EditSpec", "MeasureSpec", "ModelSpec", "Study", "StudyError", "Unreadable", "read_study", "study_of"]
