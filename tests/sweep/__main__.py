"""Check every family and write the tables of supported models: `python -m tests.sweep`.

Families that the tests checked since the code last changed are not run again.
"""

from __future__ import annotations

import logging
import sys
import warnings

from tests.sweep.families import EXCEPTIONS, Row, check, keys
from tests.sweep.records import ROOT, fresh, write
from tests.sweep.table import full, put, summary

log = logging.getLogger("sweep")


def rows() -> list[Row]:
    """What the check of each family found."""
    found = []
    for key in keys():
        row = fresh(key)
        if row is None:
            row = check(key)
            write(row)
            log.info("%s: %s, %.1f s", key, "works" if row.passed else "refused", row.seconds)
        found.append(row)
    return found


def main() -> int:
    """Write the tables; 1 if a family behaves otherwise than it should."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    log.setLevel(logging.INFO)
    warnings.simplefilter("ignore")
    found = rows()
    odd = [
        row
        for row in found
        if row.passed == (row.key in EXCEPTIONS) or not row.same_tokens or row.passed > row.unchanged
    ]
    for row in odd:
        log.error("%s: %s", row.key, row.note or "other tokens or other bits while it was looked at")
    if odd:
        return 1
    put(ROOT / "README.md", summary(found))
    put(ROOT / "docs" / "supported-models.md", full(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
