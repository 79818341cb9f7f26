"""One small result of every type that methods return, with gaps and intervals where the type has them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from analysis.clusters import Clusters
from analysis.edit_effects import Effect
from analysis.evaluation import AnnotatedImage, ChairResult, PopeResult, Setting, YesNoQuestion, mentioned
from analysis.evaluation.asking import Answered
from analysis.faithfulness import Comparison, Faithfulness, FaithfulnessCost
from analysis.head_measures import MEASURES, HeadMeasures
from analysis.head_types import HeadTypes
from analysis.importance_results import ByClass, JointAblation, PartialEffects, Trust
from analysis.layer_similarity import LayerSimilarity
from analysis.localisation import Rated
from analysis.massive import MassiveActivations
from analysis.pattern_autoencoder import AutoencoderSummary
from analysis.patterns import AlignedMaps, PatternSummary
from analysis.position_artefact import PositionArtefact
from analysis.projections import JointEmbedding, Neighbours, PatchColours
from analysis.pruning import PruningCurve, PruningPoint, Unit
from analysis.results import Agreement, Curve, Embedding, HeadMatrix, Parts, Profile, TokenMap
from analysis.signals.combined import CombinedScore
from analysis.sink_whatifs import SinkWhatIf
from analysis.sinks import SinkTokens, TokenNorms
from analysis.thresholds import Threshold
from analysis.token_plan import Step, TokenPlan
from analysis.visual_tokens.in_cache import CachePlan
from analysis.visual_tokens.plan import VisualPlan, VisualStep
from analysis.visual_tokens.searching import BudgetSearch
from analysis.words.encoder_decoder import EncoderDecoder
from analysis.words.exit_curve import ExitCurve
from analysis.words.group_flow import GroupFlow
from analysis.words.image_heads import AlignmentMatrix, ImageHeads
from analysis.words.knockout import Knockout
from analysis.words.logit_lens import LensReading, PatchWords
from analysis.words.patch_importance import PatchImportance
from analysis.words.path_vote import Path as Voted
from analysis.words.path_vote import PathVote
from analysis.words.permutation import PermutationSensitivity
from analysis.words.visual_sinks import SinkContribution, VisualSinks
from analysis.words.word_confidence import WordConfidence
from analysis.words.word_shares import AnswerShares, WordShares
from model_adapters import Rows, Site
from ui.results.compare import Answers
from ui.results.fewer_curves import FewerCurves
from ui.results.fix import Fix, WordLogs
from ui.results.fix_measured import Asked, Described, FixMeasured, pairs_of
from ui.results.fix_pictures import Wish
from ui.results.study_groups import Groups
from ui.results.whatif import WordChanges

RNG = np.random.default_rng(5)
LAYERS, HEADS = 3, 4
SITES = tuple(Site(f"blocks.{n}.attn", layer=n, heads=HEADS) for n in range(LAYERS))
EACH_HEAD = tuple((site, head) for site in SITES for head in range(HEADS))


def rows(columns: int = 4, lines: int = 3, width: int = 40, height: int = 30) -> Rows:
    """A class token and a grid of patches."""
    w, h = width / columns, height / lines
    boxes = [[np.nan] * 4] + [[c * w, r * h, (c + 1) * w, (r + 1) * h] for r in range(lines) for c in range(columns)]
    place = np.array([-1] + [0] * (columns * lines), np.int16)
    roles = np.array(["class"] + ["patch"] * (columns * lines), object)
    return Rows(roles, np.array(boxes, np.float32), place, place.copy(), place.copy())


def matrix(signed: bool = False, **more) -> HeadMatrix:
    values = RNG.standard_normal((LAYERS, HEADS)) if signed else RNG.random((LAYERS, HEADS))
    values[1, 3] = np.nan
    ends = {"low": values - 0.1, "high": values + 0.2}
    return HeadMatrix(values, SITES, signed, **{"label": "importance", "unit": "nats", **ends, **more})


def token_map(signed: bool = False) -> TokenMap:
    values = RNG.standard_normal(13) if signed else RNG.random(13)
    return TokenMap(values, rows(), (40, 30), signed, "attention", "share")


def curve() -> Curve:
    steps, values = np.linspace(0, 1, 9), np.linspace(0.9, 0.1, 9) ** 2
    return Curve(steps, values, values - 0.05, values + 0.1, "probability", "share taken out")


def comparison() -> Comparison:
    return Comparison(curve(), RNG.random(8), True)


def embedding() -> Embedding:
    return Embedding(RNG.standard_normal((12, 2)), ("query",) * 6 + ("key",) * 6, np.arange(12) % 6, 0.61, "PCA")


def head_types() -> HeadTypes:
    types = np.array(
        [["class", "local", "hybrid", "unclear"], ["row", "column", "global", ""], ["self", "sink", "content", "local"]], object
    )
    parts = types.copy()
    parts[0, 2] = "row + local"
    values = RNG.random((LAYERS, HEADS, len(MEASURES)))
    values[1, 3] = np.nan
    measures = HeadMeasures(values, MEASURES, RNG.integers(-2, 3, (LAYERS, HEADS, 2)).astype(float), SITES)
    return HeadTypes(types, parts, RNG.random((LAYERS, HEADS)), measures, tuple((name, 0.3) for name in MEASURES))


def patterns() -> PatternSummary:
    points = Embedding(RNG.standard_normal((12, 2)), ("head",) * 12, np.arange(12), 0.5, "patterns")
    return PatternSummary(RNG.random((12, 3)), RNG.random(12), points, EACH_HEAD, 0.2, RNG.random((3, 5, 7)))


def effect() -> Effect:
    return Effect(*RNG.random(4).tolist())


def whatif(name: str) -> SinkWhatIf:
    return SinkWhatIf(name, effect(), (effect(), effect(), effect()))


def pruning_curve() -> PruningCurve:
    units = [Unit("head", layer, head) for layer in range(2) for head in range(2)]
    return PruningCurve(tuple(PruningPoint(tuple(units[:n]), effect(), 1 - 0.1 * n) for n in range(5)))


def aligned() -> AlignedMaps:
    values = RNG.random((12, 5, 7))
    values[:, 0, 0] = np.nan
    return AlignedMaps(values, EACH_HEAD, 4)


def massive() -> MassiveActivations:
    shape = (LAYERS, 5)
    values = -np.sort(-RNG.random(shape) * 100, axis=1)
    whole = [RNG.integers(0, 9, shape) for _ in range(3)]
    return MassiveActivations(values, *whole, RNG.random(LAYERS) + 0.1, values > 50, (0, 1, 2))


def plan() -> TokenPlan:
    first, second = np.arange(13) // 2, np.array([0, 1, 1, 2, -1, 3, 3])
    sources = np.stack([np.arange(13), first, second[first]])
    steps = (Step(0, first, np.full(13, 0.5)), Step(1, second, np.full(7, 0.5)))
    return TokenPlan(steps, sources, rows(), "vision", "")


def visual_plan() -> VisualPlan:
    every, pairs = np.arange(12), np.arange(12) // 2 * 2
    later = np.where(every % 4 == 0, every, -1)
    steps = (VisualStep(1, pairs, np.ones(12)), VisualStep(2, later, np.ones(12)))
    return VisualPlan("made", steps, np.arange(1, 13), rows(), 4, (40, 30), "")


def word_results() -> dict[str, object]:
    groups = ("system", "image", "question", "answer")
    of_word, of_answer = RNG.dirichlet(np.ones(4), (LAYERS, HEADS)), RNG.dirichlet(np.ones(4), (5, LAYERS))
    of_word[1, 3] = np.nan
    told = (("boat", 0.6), ("car", 0.3), (" ", 0.05))
    return {
        "word confidence": WordConfidence("boats", 0.5, -0.69, np.array([0.6, 0.83]), 1.1, 0.3, told, (7, 9, 3)),
        "word shares": WordShares(of_word, np.array([5, 144, 9, 2]), SITES, "boats", groups),
        "exit": ExitCurve(np.arange(4), RNG.random((4, 3)), -RNG.random((4, 3)), RNG.random((4, 3)) > 0.5),
        "flow": GroupFlow(RNG.dirichlet(np.ones(4), (LAYERS, 4)), np.array([5, 144, 9, 2]), (0, 1, 2), groups),
        "lens": LensReading(
            (0, 1, 2),
            -RNG.random((3, 2)),
            RNG.integers(0, 9, (3, 2)),
            RNG.random((3, 2)),
            RNG.integers(0, 99, (3, 2, 2)),
            ((("a", "b"), ("c", "d")),) * 3,
        ),
        "patch words": PatchWords(token_map(), RNG.integers(0, 99, (13, 2)), (("sky", "sea"),) * 13, RNG.random((13, 2))),
        "combined": CombinedScore(("low", "odd"), (0.1, 0.2), (1.0, 2.0), (0.5, -0.2), 0.1, 0.7, 5, 200, 40, "lvlm"),
        "answer shares": AnswerShares(of_answer, RNG.integers(1, 99, (5, 4)), SITES, groups),
    }


def word_head_results() -> dict[str, object]:
    heads, score = RNG.random((2, LAYERS, HEADS)), RNG.random((LAYERS, 9)) * 30
    heads[:, 1, 3] = np.nan
    pictures = np.arange(9) >= 4
    routes = {"image to question": RNG.standard_normal(LAYERS), "image to answer": RNG.standard_normal(LAYERS)}
    matrices = HeadMatrix(heads[0], SITES, label="attention to the image"), HeadMatrix(heads[1], SITES, label="sink share")
    return {
        "sinks of a prompt": VisualSinks(score, score > 20, (score > 20) & pictures, (3, 8), 20.0, SITES),
        "sink contribution": SinkContribution(heads[0], heads[1], SITES),
        "image heads": ImageHeads((heads[0] >= 0.2) & (heads[1] <= 0.5), *matrices),
        "alignment": AlignmentMatrix(RNG.uniform(-0.3, 0.2, (4, 4)), (0, 1, 2, 3)),
        "knock-out": Knockout(np.arange(LAYERS), routes, 2, "boats"),
        "encoder and decoder": EncoderDecoder(RNG.uniform(-1, 1, 3), RNG.random(3), 0.25, 3, (0, 1, 2), token_map(), token_map()),
        "importance of patches": PatchImportance(RNG.standard_normal((LAYERS, 9)) * 20, tuple(range(LAYERS)), (), "boats"),
        "votes": PathVote(
            ("yes", "no"), (0.6, 0.2),
            (Voted(0, "yes .", "yes", 0.9, 0.5), Voted(1, "yes", "yes", 0.3, 0.5), Voted(1, "no", "no", 0.4, 0.5)),
        ),
        "order of tokens": PermutationSensitivity(RNG.standard_normal((5, 6)), RNG.random((5, 6)) > 0.5),
    }


def fix_results() -> dict[str, object]:
    same = np.array([True, False, True])
    described = (
        Described("a", ("boat", "star"), "a boat and a ring", "a boat"), Described("b", ("ring",), "a ring", "a ring and a star"),
    )  # fmt: skip
    asked = (Asked(0, "is there a boat?", True, "yes", "no"), Asked(1, "is there a star?", False, "yes", "well"))
    names = {"boat": "boat", "star": "star", "ring": "ring"}
    fix = Fix("visual_contrastive_decoding", (("alpha", 0.5),))
    measured = FixMeasured(
        fix, Wish(count=2), "by hand", "greedy", described, asked, tuple(pairs_of(described, asked, names, "official"))
    )
    scores = RNG.random((2, 3, 4))
    curves = FewerCurves(
        ("FastV", "Random"), ("fastv", "random_visual"), (0.5, 0.25, 0.1), scores, scores / 2, scores * 3, RNG.random((2, 3)),
        RNG.random((2, 3)), 0.75, "by hand",
    )  # fmt: skip
    logs = WordLogs(("a", "boat", "."), -RNG.random(3), -RNG.random(3), same, "visual_contrastive_decoding")
    changes = WordChanges(("a", "boat", "."), np.array([-0.1, -0.2, -3.0]), np.array([-0.1, -4.2, -1.0]), "asked again")
    made = {"words under a fix": logs, "words under steps": changes, "fix over pictures": measured}
    ends = np.array([0.1, np.nan]), np.array([0.3, np.nan])
    grouped = Groups(("boat", "star"), np.array([0.2, 0.4]), *ends, np.array([9, 1]), "to image")
    return made | {"fewer visual tokens": curves, "groups of a study": grouped} | evaluations()


def evaluations() -> dict[str, object]:
    images = tuple(AnnotatedImage(Path(f"{n}.jpg"), f"{n}.jpg", ("boat",)) for n in range(2))
    setting = Setting("by hand", "two", "?", "greedy", (), 8, 2, 2, 0)
    questions = (YesNoQuestion(images[0], "boat", True, "a boat?"), YesNoQuestion(images[1], "star", False, "a star?"))
    said = tuple(Answered(n, f"{n}.jpg", "?", text) for n, text in enumerate(("yes", "a boat and a star")))
    named = tuple(mentioned(answer.text, {"boat": "boat", "star": "star"}) for answer in said)
    there = (frozenset({"boat"}), frozenset({"boat"}))
    return {
        "POPE": PopeResult("random", setting, questions, said, 1, (), ()),
        "CHAIR": ChairResult(setting, images, said, there, named, 2, (), ()),
    }


def by_hand() -> dict[str, object]:
    """A name of each result and the result."""
    norms = RNG.random((LAYERS, 2, 13)) + 1
    norms[2, :, 12] = np.nan
    counts, edges = np.array([3, 9, 1]), np.array([0.1, 1.0, 10.0, 100.0])
    colours = RNG.random((2, 13, 3))
    colours[:, 0] = np.nan
    square = RNG.random((3, 3))
    return word_results() | word_head_results() | fix_results() | {
        "head matrix": matrix(), "signed head matrix": matrix(True), "map": token_map(), "signed map": token_map(True),
        "curve": curve(),
        "profile": Profile(RNG.random((LAYERS, HEADS, 6)), np.arange(6), SITES, "mass", "share", "hop"),
        "parts": Parts(("layer 0", "layer 1", "rest"), np.array([0.5, -0.2, 0.1]), 0.4, "logit", {"layer 0": token_map(True)}),
        "agreement": Agreement(("a", "b", "c"), square, "rank correlation", square - 0.1, square + 0.1),
        "embedding": embedding(),
        "joint embedding": JointEmbedding(embedding(), RNG.standard_normal((12, 8)), 1.3, -0.8),
        "neighbours": Neighbours(RNG.integers(0, 12, (12, 3)), RNG.random((12, 3))),
        "colours": PatchColours(colours, np.array([0.5, 0.2, 0.1]), 2, "vision"),
        "measures": head_types().measures, "types": head_types(), "patterns": patterns(), "aligned maps": aligned(),
        "autoencoder": AutoencoderSummary(patterns(), RNG.random(50), 0.3, (("w", RNG.random((2, 2))),)),
        "clusters": Clusters(np.array([0, 1, -1, 1]), np.array([0, 1]), 0.4, np.array([], int), np.array([])),
        "tried clusters": Clusters(np.array([0, 1, 0, 1]), np.array([0, 1]), 0.4, np.array([2, 3, 4]), np.array([0.4, 0.3, 0.1])),
        "by class": ByClass(RNG.standard_normal((2, LAYERS, HEADS)), np.array([3, 7]), np.array([5, 6]), SITES, "loss change"),
        "partial": PartialEffects(("near", "far"), (0, 2), RNG.random((2, 2)), SITES[1], np.zeros((2, 2)), np.ones((2, 2)), "KL"),
        "trust": Trust(("gate", "norm"), ("spearman", "overlap"), RNG.random((2, 2)), np.zeros((2, 2)), np.ones((2, 2)),
            np.array([0, 0.2])),
        "joint ablation": JointAblation(("gate", "norm"), np.arange(5), RNG.random((2, 5)), RNG.random((6, 5)), "accuracy"),
        "comparison": comparison(),
        "faithfulness": Faithfulness(
            {"mean": comparison(), "blur": comparison()}, {"mean": comparison()}, FaithfulnessCost(100, 3), 0.1, 0.2,
            Rated(1.0, 0.1, "hit")
        ),
        "rated": Rated(0.7, 0.2, "energy"), "pruning": pruning_curve(), "what-ifs": (whatif("muted"), whatif("moved")),
        "what-if": whatif("x"),
        "norms": TokenNorms(norms, (0, 1, 2), (rows(),) * 3, "vision"),
        "sinks": SinkTokens(norms[0], norms[0] > 1.5, Threshold(20.0, False, counts, edges), rows(), "norm", "vision", 1),
        "massive": massive(), "layers": LayerSimilarity(RNG.random((4, 3)), (0, 1, 2, 3), (0, 1, 2), "CKA"),
        "position": PositionArtefact(RNG.random((13, 4)), RNG.random(4), 0.3, rows()), "plan": plan(),
        "visual plan": visual_plan(), "budget search": BudgetSearch(visual_plan(), ((0, 6, 0.2), (1, 3, 0.4)), 0.4, True),
        "cache plan": CachePlan((np.arange(7), np.arange(3, 10)), rows(), np.arange(1, 13), ""),
        "compared answers": Answers(("ball", "box"), np.array([0.9, 0.1]), np.array([0.4, 0.6]), ("as it is", "edited")),
    }  # fmt: skip
