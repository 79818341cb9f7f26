"""Where the tokens of an attention site lie on the image: measured, never computed from a model's name."""

from model_adapters.geometry.measure import decoder_rows, layouts, measured, remembered
from model_adapters.geometry.pixel_dye import pixel_places
from model_adapters.geometry.plain import plain_layouts

__all__ = ["decoder_rows", "layouts", "measured", "pixel_places", "plain_layouts", "remembered"]
