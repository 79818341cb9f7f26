"""Where the tokens of an attention site lie on the image: measured, never computed from a model's name."""

from model_adapters.geometry.measure import decoder_rows, layouts, measured
from model_adapters.geometry.pixel_dye import pixel_places

__all__ = ["decoder_rows", "layouts", "measured", "pixel_places"]
