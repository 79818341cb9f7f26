"""Load any attention model of timm or transformers, look at its attention without changing its answer, and edit it."""

from model_adapters import edits
from model_adapters.card import Card
from model_adapters.catalogue import Entry, catalogue, search
from model_adapters.errors import AdapterError
from model_adapters.inputs import Inputs
from model_adapters.layout import Layout, Rows
from model_adapters.load import load, wrap
from model_adapters.model import Model
from model_adapters.site import Keep, Reduction, Site

__all__ = [
    "AdapterError", "Card", "Entry", "Inputs", "Keep", "Layout", "Model", "Reduction", "Rows", "Site", "catalogue",
    "edits", "load", "search", "wrap",
]  # fmt: skip
