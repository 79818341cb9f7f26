"""POPE and CHAIR over a folder of images with annotations in COCO's format.

`pope(read_coco("instances.json", "images"), ma.speaker(model))` prints with the prompt, the decoding and the lengths that its
figures depend on.
"""

from analysis.evaluation.asking import Setting, Speak
from analysis.evaluation.chair import ChairResult, chair, chair_figures
from analysis.evaluation.coco import AnnotatedImage, CocoSet, read_coco
from analysis.evaluation.figures import Figure, change_of_ratio, of_counts, ratio, resamples
from analysis.evaluation.names import forms_of, mentioned, names_of
from analysis.evaluation.pope import PopeResult, YesNoQuestion, pope, pope_questions
from analysis.evaluation.yes_no import parse_official, parse_strict, yes_no_figures

__all__ = [
    "AnnotatedImage", "ChairResult", "CocoSet", "Figure", "PopeResult", "Setting", "Speak", "YesNoQuestion", "chair",
    "chair_figures", "change_of_ratio", "forms_of", "mentioned", "names_of", "of_counts", "parse_official", "parse_strict",
    "pope", "pope_questions", "ratio", "read_coco", "resamples", "yes_no_figures",
]  # fmt: skip
