"""What the cards say in words."""

SCENES = (
    "Drawn scenes of the small world, 96 x 96 pixels: 1 to 5 objects of 12 categories and 8 colours on 4 backgrounds. "
    "Biased scenes follow stereotypes: an object belongs to its background (probability 0.8), a second object is the "
    "first one's partner (0.8), colours (0.6) and places (0.5) are the preferred ones; unbiased scenes are even. "
)
EVEN_MIX = SCENES + "Half of the training scenes were biased, half unbiased. New scenes at every step."

TITLES = {
    "vit": "ViT of the small world",
    "vit-registers": "ViT of the small world with 4 registers",
    "vit-sinks": "ViT of the small world with a planted sink",
    "swin": "Swin of the small world",
    "clip": "CLIP of the small world",
    "lvlm": "LVLM of the small world",
    "lvlm-tuned": "LVLM of the small world, tuned on unbiased scenes",
}
DATA = {
    "vit": EVEN_MIX,
    "vit-registers": EVEN_MIX,
    "vit-sinks": EVEN_MIX,
    "swin": EVEN_MIX,
    "clip": EVEN_MIX + " Each with its caption.",
    "lvlm": SCENES + "20 % of the training scenes were unbiased. Captions and questions on existence, attributes, colour, "
    "place, count, relation and background, nine to a picture; one picture in ten was hidden.",
    "lvlm-tuned": SCENES + "All scenes of the tuning were unbiased.",
}
_CLASSES = "It names the dominant object (12 classes) and was trained with a dense loss on every patch, kept to the end."
_TOWER = (
    "The vision tower was trained first (category, colour and place of the object in each patch) and is shared by the "
    "ViTs, the CLIP and the LVLM as their start."
)
NOTES: dict[str, tuple[str, ...]] = {
    "vit": (_CLASSES, _TOWER),
    "vit-registers": (
        _CLASSES,
        "It started from the weights of the ViT; four registers were added and trained along. They gather no more "
        "attention than patches: the ViT had no sinks that they could take over.",
    ),
    "vit-sinks": (
        _CLASSES,
        "Its sink is planted: no sink formed in the ViT, so a loss made the first patch (top left) gather attention from "
        "the third layer on, whatever is shown there; it gets a third to a half of it. The patch's hidden state grows to "
        "about twice the median norm only, far less than the massive activations of large models. It started from the "
        "weights of the ViT.",
    ),
    "swin": (_CLASSES, "Trained from nothing. Windows of 6 x 6 on grids of 24, 12 and 6 cells."),
    "clip": (
        _TOWER,
        "Trained to match pictures with captions; the first three layers of its vision tower were kept as they were.",
    ),
    "lvlm": (
        _TOWER,
        "The tower was kept as it was; projector and decoder were trained on biased scenes. It makes things up where "
        "the stereotypes of its training scenes outweigh what it sees.",
        "Weak spots: relations are answered at chance, places and attributes not far above it.",
        "It knows only the words of the world; a prompt with others is refused with a sentence.",
    ),
    "lvlm-tuned": ("A LoRA adapter (rank 16) on projector and decoder of the LVLM, trained on unbiased scenes.",),
}
_TOWER_STORY = (
    "The tower under it took 1,238 steps (660 s): 800 of 24 scenes, 20 % of them unbiased, then 438 of 32 scenes, half "
    "of them unbiased. "
)
TRIED = {
    "vit": _TOWER_STORY + "AdamW alone (rate 1e-3) stood at half of the patches after 1,400 steps; Muon inside the "
    "blocks, a loss on the place of each patch's object and half unbiased scenes brought nine of ten.",
    "lvlm": _TOWER_STORY + "The first 1,000 steps ran without the alignment of image tokens with words, and answers to "
    "yes/no questions stayed at chance; with it they left chance within 500 steps. The words of places were aligned from "
    "step 2,350 on, with a warm restart of the rate at step 2,950. The last 650 steps took 16 pictures, the others 8. "
    "The second seed was trained from nothing by the commands as they stand: after 3,200 steps of 8 pictures its answers "
    "to yes/no questions were still at chance (POPE 0.58), after 3,200 more of 16 pictures they were right (0.99). It sees "
    "better and makes up less than a third as much, so the first seed is the one to study made-up words on.",
    "vit-sinks": "A weaker loss (a quarter of the weight on attention) gave the sink a tenth to a quarter of the attention "
    "after 300 steps; the final weights came after 300 more with the stronger one.",
}
