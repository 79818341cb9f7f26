"""What a capture offers, in the words of `NEEDS`, so that a method that cannot run is refused with its sentence."""

from __future__ import annotations

from analysis.attention_rows import why_not_square
from analysis.co_attention import streams
from analysis.flow import LARGEST
from model_adapters import Capture


def offers(capture: Capture, tower: str = "vision") -> frozenset[str]:
    """The needs that this capture meets for one tower; runs, changed images, the module and masks come from elsewhere."""
    sites = [s for s in capture.shapes if s.tower == tower]
    kept = [s for s in sites if s in capture.weights and s.kind != "factorised"]
    layouts = [capture.layouts[s] for s in kept if s in capture.layouts]
    roles = {str(role) for layout in layouts for role in layout.queries.roles}
    found = {
        "weights": bool(kept) and len(kept) == len(sites),
        "square": bool(kept) and why_not_square(capture, tower) is None,
        "small": 0 < sum(shape[1] * shape[2] for site, shape in capture.shapes.items() if site in sites) <= LARGEST,
        "grid": any(layout.keys.placed.any() for layout in layouts),
        "cross": bool(kept) and streams(capture, tower) is not None,
        "class_token": "class" in roles,
        "gradients": bool(kept) and all(s in capture.gradients for s in kept),
        "values": bool(kept) and all(s in capture.values for s in kept),
        "queries": bool(kept) and all(s in capture.queries and s in capture.keys for s in kept),
        "heads": bool(kept) and all(s in capture.head_outputs for s in kept),
        "hidden": any(name == tower for name, _ in capture.hidden),
        "logits": capture.logits.size > 0,
        "text": bool(capture.tokens),
    }
    return frozenset(name for name, there in found.items() if there)
