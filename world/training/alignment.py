"""Let an image token say the words of what it shows, so that a word in a question finds its patch."""

import math

import torch
import torch.nn.functional as F

from world.tokenizer import words
from world.training.pictures import BACKGROUND_LABEL, PictureBatch
from world.vocabulary import BACKGROUNDS, CATEGORIES, COLOURS


def _ids(names: tuple[str, ...]) -> torch.Tensor:
    known = {word: index for index, word in enumerate(words())}
    return torch.tensor([known[name] for name in names])


def alignment_loss(images: torch.Tensor, embedding: torch.Tensor, truth: PictureBatch) -> torch.Tensor:
    """How badly projected patches point at the embeddings of their words.

    Args:
        images: the projector's output, [B, G * G, D].
        embedding: the decoder's input embeddings, [words, D].
        truth: what is in each patch; empty patches are to name the background.
    """
    directions = F.normalize(embedding.float(), dim=1)
    seen = F.normalize(images.float(), dim=2)
    things = torch.cat([_ids(CATEGORIES), _ids(BACKGROUNDS)]).to(images.device)
    background = len(CATEGORIES) + truth.backgrounds[:, None].expand_as(truth.categories)
    what = torch.where(truth.categories == BACKGROUND_LABEL, background, truth.categories)
    # The cosine of two unit vectors in 128 dimensions, sharpened to usable logits.
    thing = F.cross_entropy((12 * seen @ directions[things].T).flatten(0, 1), what.flatten())
    tints = directions[_ids(COLOURS).to(images.device)]
    colour = F.cross_entropy((12 * seen @ tints.T).flatten(0, 1), truth.colours.flatten(), ignore_index=-100)
    return thing + colour + _place_loss(seen, directions)


def _place_loss(seen: torch.Tensor, directions: torch.Tensor) -> torch.Tensor:
    """Half of the picture by half: "top" or "bottom", "left" or "right"."""
    grid = math.isqrt(seen.shape[1])
    line = torch.arange(grid, device=seen.device) * 2 // grid
    total = seen.new_zeros(())
    for pair, halves in ((("top", "bottom"), line[:, None]), (("left", "right"), line[None])):
        wanted = halves.expand(grid, grid).flatten().expand(len(seen), -1)
        total = total + F.cross_entropy((12 * seen @ directions[_ids(pair).to(seen.device)].T).flatten(0, 1), wanted.flatten())
    return total
