"""`python -m world.trust`: the short benchmark; `--full` for the long one."""

import argparse
import logging
import time
from pathlib import Path

from world.trust.registry import KINDS
from world.trust.report import beside, write
from world.trust.run import FULL, SHORT, run
from world.trust.table import table

ROOT = Path(__file__).resolve().parents[2]


def main() -> None:
    """Score every participant and write the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--root", type=Path, default=ROOT)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS), help="figures of other kinds stay")
    parser.add_argument("--second", type=Path, default=Path(".cache/seed-1"), help="models trained from another seed")
    parser.add_argument("--workers", type=int, default=2, help="processes at a time")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    started = time.monotonic()
    name, size = ("trust-full", FULL) if options.full else ("trust", SHORT)
    scores, said = run(size, options.kinds, second=options.second, workers=options.workers)
    known = table(full=options.full, assets=options.root / "assets")
    write(beside(scores, options.kinds, known), said, options.root, name)
    logging.info("%d scores in %.0f s", len(scores), time.monotonic() - started)


if __name__ == "__main__":
    main()
