"""What an answer offers, in the words of `NEEDS`, so that a method that cannot read it is refused with its sentence."""

from __future__ import annotations

from analysis.words.answer import Answer, groups_of


def offered(answer: Answer, *, run: bool = False, pixels: bool = False) -> frozenset[str]:
    """The needs that an answer meets.

    Args:
        answer: from `answer_of` or `answer_in`.
        run: whether the model can be run again.
        pixels: whether it can be run on changed images.
    """
    capture, sites = answer.capture, answer.sites
    whole = len(answer.prompt) + len(answer)
    placed = bool((answer.prompt.placed & (groups_of(answer.prompt) == "image")).any())
    found = {
        "generation": len(answer) > 0,
        "text": bool(answer.words),
        "grid": placed,
        "run": run,
        "pixels": run and pixels,
    }
    if capture is not None and sites:
        found |= {
            "weights": all(len(capture.rows[site]) == whole for site in sites),
            "values": all(site in capture.values for site in sites),
            "heads": all(site in capture.head_outputs for site in sites),
            "gradients": all(site in capture.gradients for site in sites),
            "hidden": any(tower == "decoder" for tower, _ in capture.hidden),
        }
    return frozenset(name for name, there in found.items() if there)
