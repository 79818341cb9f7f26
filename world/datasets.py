"""Endless scenes by index: the same seed and index always give the same scene, in any order."""

from dataclasses import dataclass

import numpy as np

from world.scenes import BIASED, UNBIASED, Bias, Scene, sample_scene


@dataclass(frozen=True)
class SceneStream:
    """Scenes by index.

    Attributes:
        seed: separates streams; training, selection and test use different ones.
        bias: the knobs of the biased scenes.
        unbiased_share: which share of the scenes is drawn without any bias.
    """

    seed: int
    bias: Bias = BIASED
    unbiased_share: float = 0.0

    def __getitem__(self, index: int) -> Scene:
        rng = np.random.default_rng([self.seed, index])
        unbiased = rng.random() < self.unbiased_share
        return sample_scene(rng, UNBIASED if unbiased else self.bias)

    def take(self, count: int, start: int = 0) -> list[Scene]:
        """Scenes `start` to `start + count`."""
        return [self[index] for index in range(start, start + count)]


TRAINING_SEED, TEST_SEED, TRUST_SEED = 1, 2, 3
TRAINING = SceneStream(TRAINING_SEED, unbiased_share=0.2)
TEST_BIASED = SceneStream(TEST_SEED)
TEST_UNBIASED = SceneStream(TEST_SEED + 100, bias=UNBIASED)
