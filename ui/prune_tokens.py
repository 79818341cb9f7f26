"""Fewer tokens on the page Prune: rule and amounts, the strip of what survives, and what it costs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import streamlit as st

from ui import controls, notes, page, prune_snippets, prune_state, prune_tried, prune_view, session
from ui.pictures import Picture
from ui.prune_view import Bench
from ui.results import tokens
from ui.results.prune import Parts
from ui.results.tokens import Fewer

if TYPE_CHECKING:
    from analysis.token_plan import TokenPlan
    from model_adapters import Subject

_ROOM, _NARROW = 660, 104
"""Pixels of the strip, and of a picture in it at least."""
TITLES = {
    "evit": "EViT: keep by class attention, fuse the rest", "class_top": "Keep by class attention",
    "tome": "ToMe: merge the likest", "ats": "ATS: sample by class attention",
    "mctf": "MCTF: merge alike, dull and small", "random_tokens": "Random",
    "even_tokens": "Evenly spread",
}  # fmt: skip


def show(bench: Bench, subject: Subject, picture: Picture) -> None:
    """The whole view."""
    tower = bench.sites[0].tower
    able = {rule.name: tokens.why_not(subject, rule.name, tower) for rule in tokens.rules()}
    offered = [name for name, reason in able.items() if not reason]
    if not offered:
        st.info(next(iter(able.values())), icon=":material/info:")
        st.caption("Models with one global sequence of tokens work, such as bundled:vit.")
        return
    fewer = _wish(bench, offered, _patches(subject))
    plan = session.get(
        ("tokens-plan", *bench.key, picture.key, fewer),
        lambda progress: tokens.plan(subject, fewer, tower),
        label="Choosing tokens",
    )
    strip = st.container()
    left, right = st.columns([2, 1], gap="medium")
    with left:
        _show_strip(picture, plan)
        _away(bench, picture, fewer, plan)
        _refused(able)
    judgement = session.part(
        ("tokens-judged", *bench.key, fewer),
        lambda progress: tokens.judge_tokens(bench.model, bench.ids, bench.text, fewer, tower, progress),
        label=f"A plan for each of {bench.count} pictures", lane="long",
        estimate="Each picture gets a plan of its own, one after the other.",
    )  # fmt: skip
    costs = session.part(
        ("tokens-costs", *bench.key, picture.key, fewer), lambda progress: tokens.cost_tokens(subject, fewer, tower),
        label="Measuring on this picture",
    )  # fmt: skip
    if judgement is not None:
        prune_state.remember(bench.key, prune_state.Tried(fewer, judgement.judged, costs))
        with strip:
            prune_view.show_strip(bench, judgement.judged, costs)
            _against_random(bench, judgement)
    with right, st.container(border=True):
        prune_tried.show_tried(bench, restore, fewer)
    notes.how_to_read(fewer.method)


def _show_strip(picture: Picture, plan: TokenPlan) -> None:
    """What survives, step by step."""
    with st.container(horizontal=True, gap="small"):
        pictures = tokens.strip(picture.image, plan)
        width = max(_NARROW, min(tokens.SIDE, _ROOM // len(pictures)))
        for image, said in pictures:
            st.image(image, caption=said, width=width)
    st.caption(
        "After each step on this picture: faded patches are gone, patches in one colour have become one token. " + plan.left_out
    )


def _away(bench: Bench, picture: Picture, fewer: Fewer, plan: TokenPlan) -> None:
    """The menu of the strip."""
    from ui.figures import figure_of

    page.take_away(
        plan, lambda: figure_of(tokens.strip_drawn(picture.image, plan)), key="tokens-away", title=f"Tokens left: {fewer.words}",
        snippet=prune_snippets.plan(bench, picture.id, fewer),
    )  # fmt: skip


def _patches(subject: Subject) -> int:
    from analysis.token_rows import patches_of

    capture = subject.capture(tokens.WANTED)
    rows = capture.layouts[capture.sites[0]].keys
    return int(patches_of(rows, len(rows)).sum())


def _wish(bench: Bench, offered: list[str], patches: int) -> Fewer:
    """Rule, layers and an amount for each."""
    depth = len(bench.sites)
    row = st.container(horizontal=True, vertical_alignment="bottom")
    with row:
        with st.container(width=330):
            rule = controls.pick("rule", "Rule", offered, format=lambda r: TITLES.get(r, r))
        look = controls.flag(
            "look", "Look again after each step", default=True,
            help="Later steps read what the reduced model attends to, as the originals do; otherwise the whole sequence.",
        )  # fmt: skip
    knob = tokens.knob(rule, patches)
    whole = knob.step >= 1
    if not tokens.per_layer(rule):
        return Fewer(rule, (), (float(_amount(knob, "samples", f"{knob.label.capitalize()} at most", whole)),), look)
    start = range(depth) if whole else tokens.first_layers(depth)
    with row:
        layers = controls.pick_many(f"layers-{knob.label}", "Layers", list(range(depth)), default=list(start))
    if not layers:
        st.info("Choose at least one layer in which tokens go.", icon=":material/info:")
        st.stop()
    layers = sorted(layers)
    amounts = []
    for first in range(0, len(layers), 6):
        for column, layer in zip(st.columns(6), layers[first : first + 6], strict=False):
            with column:
                amounts.append(float(_amount(knob, f"{knob.label}-{layer}", f"Layer {layer}: {knob.label}", whole)))
    return Fewer(rule, tuple(layers), tuple(amounts), look)


def _amount(knob: tokens.Knob, name: str, label: str, whole: bool) -> Any:
    numbers = (knob.low, knob.high, knob.start, knob.step)
    low, high, start, step = (int(n) if whole else float(n) for n in numbers)
    return controls.slide(name, label, low, high, start, step=step)


def _refused(able: dict[str, str]) -> None:
    missing = {name: reason for name, reason in able.items() if reason}
    if missing:
        with st.expander(f"{len(missing)} rules are not offered for this model"):
            for reason in missing.values():
                st.caption(reason)


def _against_random(bench: Bench, found: tokens.Judgement) -> None:
    random = found.random
    st.caption(
        f"Random tokens dropped to about the same counts: {bench.measure.lower()} {prune_view.percent(random.effect.accuracy)} "
        f"[{prune_view.percent(random.low.accuracy)}, {prune_view.percent(random.high.accuracy)}], KL {random.effect.kl:.2g}. "
        f"Tokens left: {', '.join(f'{count:.0f}' for count in found.counts)} (mean over {found.judged.count} pictures). "
        "Both models are timed through the same hooks, which take the tokens really out."
    )


def restore(setting: Any) -> None:
    """Bring back a setting that was tried."""
    if isinstance(setting, Parts):
        st.session_state["what"] = "parts"
        prune_state.set_parts(setting)
        return
    st.session_state["what"] = "tokens"
    st.session_state["rule"], st.session_state["look"] = setting.method, setting.look
    if not setting.layers:
        st.session_state["samples"] = int(setting.amounts[0])
        return
    kind = tokens.knob(setting.method, 100).label
    st.session_state[f"layers-{kind}"] = list(setting.layers)
    for layer, amount in zip(setting.layers, setting.amounts, strict=True):
        st.session_state[f"{kind}-{layer}"] = int(amount) if kind == "merge" else amount
