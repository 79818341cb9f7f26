"""What a teacher can show: pages in a given state."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Shown:
    """One thing to show."""

    topic: str
    title: str
    page: str
    """Such as "look/attention"."""
    shows: str
    ask: str
    """A question for the class."""
    minutes: int
    settings: dict[str, str] = field(default_factory=dict)
    """What the link holds."""


MATERIAL = (
    Shown(
        "Attention", "What one patch looks at", "look/attention",
        "A classifier on a drawn scene. Move the mouse over a shape: the colours follow, head by head.",
        "Does a patch on the ball look at the ball, at its edge, or somewhere else?", 5,
        {"model": "bundled:vit", "image": "scene:3", "layer": "3", "head": "1"},
    ),
    Shown(
        "Attention", "Heads that look along rows and down columns", "heads/patterns",
        "All heads of a Swin as tiles; a line from left to right is a head that looks along its row.",
        "Why might a head with a fixed habit be useful?", 10, {"model": "bundled:swin", "lit": "yes"},
    ),
    Shown(
        "Attention", "Queries and keys in one plane", "look/embedding",
        "Each dot is a query or a key; what lies close attends to each other.",
        "Which keys does the class token lie next to?", 10, {"model": "bundled:vit", "image": "scene:3"},
    ),
    Shown(
        "Importance", "What each head is worth", "heads/importance",
        "The rise of the loss when a head is silent, beside a guess that needs one pass.",
        "Where does the guess go wrong, and would you trust it with a larger model?", 15,
        {"model": "bundled:vit", "image": "scene:3"},
    ),
    Shown(
        "Importance", "One layer off, before and after", "compare/compare",
        "The same model as it is and without the heads of one layer: maps, difference and answers.",
        "Does a changed map mean a changed answer?", 10,
        {"model": "bundled:vit", "image": "scene:3", "differs": "edit", "edit": "layer", "edit-layer": "2"},
    ),
    Shown(
        "Sinks", "A patch that everything looks at", "tokens/sinks",
        "A model with a planted sink. The film goes through the layers.",
        "Is the bright patch part of an object? What is it for?", 10,
        {"model": "bundled:vit-sinks", "image": "scene:3", "at": "3"},
    ),
    Shown(
        "Sinks", "With and without a sink", "compare/compare",
        "The plain classifier beside the one with the sink; the difference is one patch.",
        "Do both models still look at the same things besides?", 5,
        {"model": "bundled:vit", "image": "scene:3", "differs": "model", "other-model": "bundled:vit-sinks"},
    ),
    Shown(
        "Words", "A word without a place in the picture", "words/ask",
        "A small language model that sees names something that was never drawn, because such things used to go together.",
        "Which words are true? Where did the model look when it said the others?", 15,
        {"model": "bundled:lvlm", "image": "scene:5"},
    ),
    Shown(
        "Words", "Which words to doubt", "words/truth",
        "Signals of every word, beside words of which the truth is known.",
        "Is a doubtful word always wrong? Is a sure one always right?", 15, {"model": "bundled:lvlm", "image": "scene:5"},
    ),
    Shown(
        "Words", "Before and after a little training", "compare/compare",
        "The model and the same model tuned on scenes without stereotypes: answers, and where they look differently.",
        "What did the training take away, and what did it leave?", 10,
        {"model": "bundled:lvlm", "image": "scene:5", "differs": "model", "other-model": "bundled:lvlm-tuned",
         "question": "what is in the picture?"},
    ),
    Shown(
        "Belief", "Two maps for the same answer", "compare/compare",
        "Two methods explain the same class, and disagree.",
        "Both cannot be right. What would you measure to decide?", 10,
        {"model": "bundled:vit", "image": "scene:3", "differs": "method", "left-method": "patch_ablation",
         "right-method": "token_grad_cam"},
    ),
    Shown(
        "Belief", "Methods measured against a known truth", "trust/benchmark",
        "All methods, scored in a world in which it is known what is where.",
        "Which score would convince you, and of what?", 10, {},
    ),
)  # fmt: skip
