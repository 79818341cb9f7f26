"""Where the tokens of an attention site lie on the image: measured, never computed from a model's name."""

from model_adapters.geometry.layouts import measured as layouts

__all__ = ["layouts"]
