"""`python -m world.trust`: the short benchmark; `--full` for the long one."""

import argparse
import logging
import time
from pathlib import Path

import world.trust.entries  # noqa: F401  (importing registers the participants)
from world.trust.registry import KINDS
from world.trust.report import write
from world.trust.run import FULL, SHORT, run

ROOT = Path(__file__).resolve().parents[2]


def main() -> None:
    """Score every participant and write the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--root", type=Path, default=ROOT)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    started = time.monotonic()
    size = FULL if options.full else SHORT
    scores = run(size, options.kinds)
    write(scores, options.root, "trust-full" if options.full else "trust", size.maps)
    logging.info("%d scores in %.0f s", len(scores), time.monotonic() - started)


if __name__ == "__main__":
    main()
