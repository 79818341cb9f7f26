"""Write the figures of a second seed onto the cards of the shipped models: `python -m world.evaluation.second_seed`."""

import argparse
import json
import logging
from pathlib import Path

from world.bundled import MODELS
from world.evaluation.descriptions import TRIED

log = logging.getLogger(__name__)


def write_second(shipped: Path, second: Path) -> None:
    """Put training and figures of the card `second` beside those of the card `shipped`.

    Raises:
        ValueError: if both come from one seed, or from different models or numbers of images.
    """
    card, other = json.loads(shipped.read_text()), json.loads(second.read_text())
    for key in ("title", "parameters", "images"):
        if card[key] != other[key]:
            raise ValueError(f"both cards must be of one model: {key} is {card[key]!r} here and {other[key]!r} there.")
    if card["training"]["seed"] == other["training"]["seed"]:
        raise ValueError(f"a second seed is needed. Both cards come from seed {card['training']['seed']}.")
    card["second_seed"] = {"training": other["training"], "figures": other["figures"]}
    card["tried"] = TRIED.get(shipped.parent.name, "")
    shipped.write_text(json.dumps({key: value for key, value in card.items() if value != ""}, indent=1) + "\n")


def main() -> None:
    """Do so for every model of which the second folder has a card."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=Path, default=MODELS)
    parser.add_argument("--second", type=Path, default=Path(".cache/seed-1"))
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    for card in sorted(options.second.glob("*/card.json")):
        write_second(options.models / card.parent.name / "card.json", card)
        log.info("%s: second seed written", card.parent.name)


if __name__ == "__main__":
    main()
