"""Tables of what is told about the words of an answer."""

from __future__ import annotations

import numpy as np

from analysis.words.encoder_decoder import EncoderDecoder
from analysis.words.exit_curve import ExitCurve
from analysis.words.group_flow import GroupFlow
from analysis.words.image_heads import AlignmentMatrix, ImageHeads
from analysis.words.knockout import Knockout
from analysis.words.logit_lens import LensReading, PatchWords
from analysis.words.patch_importance import PatchImportance
from analysis.words.path_vote import PathVote
from analysis.words.permutation import PermutationSensitivity
from analysis.words.visual_sinks import SinkContribution, VisualSinks
from analysis.words.word_confidence import WordConfidence
from analysis.words.word_shares import AnswerShares, WordShares
from ui.take_away.columns import Table, by_head, heads_of, melted, table


@table.register
def _(result: WordConfidence) -> Table:
    tokens, probabilities = zip(*result.alternatives, strict=True) if result.alternatives else ((), ())
    ids = np.array(result.alternative_ids, int)
    return {"token": np.array(tokens, str), "token_id": ids, "probability": np.array(probabilities, float)}


@table.register
def _(result: WordShares) -> Table:
    layers, heads, groups = result.values.shape
    flat = melted({"share": result.values}, row=range(layers), head=range(heads), to=result.groups)
    tokens = np.tile(result.counts, layers * heads)
    return {"row": flat.pop("row"), **heads_of(result.sites, heads * groups), **flat, "tokens of the group": tokens}


@table.register
def _(result: AnswerShares) -> Table:
    answer, layers, _ = result.values.shape
    flat = melted({"share": result.values}, token=range(answer), row=range(layers), to=result.groups)
    return flat | {"tokens of the group": np.repeat(result.counts, layers, axis=0).ravel()}


@table.register
def _(result: ExitCurve) -> Table:
    numbers = {"KL [nats]": result.divergence, "log-probability": result.log_probabilities, "stays": result.same}
    return melted(numbers, hidden_from_layer=result.layers, token=range(result.divergence.shape[1]))


@table.register
def _(result: GroupFlow) -> Table:
    return melted({"share": result.values}, layer=result.layers, reader=result.groups, read=result.groups)


@table.register
def _(result: LensReading) -> Table:
    first = np.array([[told[0] if told else "" for told in layer] for layer in result.best_texts], str)
    numbers = {
        "log-probability": result.log_probabilities, "rank": result.ranks, "entropy [nats]": result.entropies, "would say": first,
    }  # fmt: skip
    return melted(numbers, layer=result.layers, token=range(result.ranks.shape[1]))


@table.register
def _(result: PatchWords) -> Table:
    first = np.array([texts[0] if texts else "" for texts in result.texts], str)
    return table(result.map) | {"word": first, "probability of the word": result.probabilities[:, 0]}


@table.register
def _(result: VisualSinks) -> Table:
    layers, tokens = result.score.shape
    numbers = {"sink score": result.score, "is_sink": result.is_sink, "holds image": result.visual}
    flat = melted(numbers, row=range(layers), token=range(tokens))
    return {"row": flat.pop("row"), **heads_of(result.sites, tokens), **flat}


@table.register
def _(result: SinkContribution) -> Table:
    numbers = {"share of attention": result.weight, "share of contribution": result.contribution}
    return by_head(numbers, result.sites)


@table.register
def _(result: ImageHeads) -> Table:
    made = (result.attention, result.sink_share)
    numbers = {matrix.label: matrix.values for matrix in made} | {"chosen": result.chosen}
    return by_head(numbers, result.attention.sites)


@table.register
def _(result: AlignmentMatrix) -> Table:
    return melted({"cosine": result.values}, image_layer=result.layers, text_layer=result.layers)


@table.register
def _(result: Knockout) -> Table:
    drops = np.stack(list(result.drops.values())) if result.drops else np.zeros((0, len(result.layers)))
    flat = melted({"fall [nats]": drops}, route=np.array(list(result.drops), str), first_layer=result.layers)
    return flat | {"window [layers]": np.full(drops.size, result.window)}


@table.register
def _(result: PatchImportance) -> Table:
    return melted({"fall [%]": result.values}, layer=result.layers, part=range(result.values.shape[1]))


@table.register
def _(result: PathVote) -> Table:
    names = ("view", "text", "said", "probability", "certainty")
    return {name: np.array([getattr(path, name) for path in result.paths]) for name in names}


@table.register
def _(result: EncoderDecoder) -> Table:
    numbers = {"rank correlation": result.spearman, "overlap": result.overlap}
    flat = melted(numbers, layer=np.array(result.layers, int))
    return flat | {"overlap by chance": np.full(len(result.layers), result.chance)}


@table.register
def _(result: PermutationSensitivity) -> Table:
    draws, tokens = result.drops.shape
    return melted({"fall [nats]": result.drops, "stays": result.same}, order=range(draws), token=range(tokens))
