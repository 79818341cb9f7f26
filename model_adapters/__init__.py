"""Load any attention model of timm or transformers, look at its attention without changing its answer, and edit it."""

from model_adapters import edits
from model_adapters.ablation import Ablation, ablate
from model_adapters.batches import answers
from model_adapters.capture import capture, run
from model_adapters.capturing import BySite, Capture
from model_adapters.card import Card
from model_adapters.catalogue import Entry, catalogue, search
from model_adapters.classes import class_names, why_not_scores
from model_adapters.cost import Cost, estimate
from model_adapters.decoding import Beam, Blank, Contrast, Greedy, Imageless, Noised, OverTrust, Sample, Under
from model_adapters.errors import AdapterError
from model_adapters.generate import GeneratedToken, Generation, generate
from model_adapters.inputs import Inputs
from model_adapters.layout import Layout, Rows
from model_adapters.lens import Asked, Lens, asked, continued, lens, reread, spelling
from model_adapters.load import load, wrap
from model_adapters.model import Model
from model_adapters.planned import Glance, decoder_depth
from model_adapters.site import Keep, Reduction, Site
from model_adapters.speaking import speaker
from model_adapters.subject import Subject, subject
from model_adapters.tap import AttentionTap
from model_adapters.target import Token
from model_adapters.towers import capture_towers
from model_adapters.verify import Report, verify
from model_adapters.where import Where

__all__ = [
    "Ablation", "AdapterError", "Asked", "AttentionTap", "Beam", "Blank", "BySite", "Capture", "Card", "Contrast", "Cost",
    "Entry", "GeneratedToken", "Generation", "Glance", "Greedy", "Imageless", "Inputs", "Keep", "Layout", "Lens", "Model",
    "Noised", "OverTrust", "Reduction", "Report", "Rows", "Sample", "Site", "Subject", "Token", "Under", "Where", "ablate",
    "answers", "asked", "capture", "capture_towers", "catalogue", "class_names", "continued", "decoder_depth", "edits",
    "estimate", "generate", "lens", "load", "reread", "run", "search", "speaker", "spelling", "subject", "verify",
    "why_not_scores", "wrap",
]  # fmt: skip
