"""The parts of the page Prune: the set, the switches with their recipes, the strip of numbers, the plot of what was tried."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import streamlit as st

from ui import controls, page, prune_snippets, prune_state, session
from ui.head_switches import head_switches
from ui.results import prune_effect, prune_rank
from ui.results.heads import Text
from ui.results.prune import Parts

if TYPE_CHECKING:
    from analysis.results import HeadMatrix
    from model_adapters import Model, Site
    from model_adapters.running_cost import RunningCost
    from ui.results.prune_effect import Asked, Costs, Judged

WHAT = {"parts": "Heads, MLPs, layers", "tokens": "Tokens"}
UNSURE = ", unsure"
"""Said of a change of time that is smaller than its spread."""
KINDS = {"scene": "scenes", "biased": "biased scenes"}


@dataclass(frozen=True, eq=False)
class Bench:
    """The model on its set: what everything on the page is about."""

    name: str
    weights: str
    model: Model
    text: Text
    sites: tuple[Site, ...]
    kind: str
    count: int
    asked: Asked

    @property
    def ids(self) -> list[str]:
        """The set."""
        return prune_effect.scenes_of(self.kind, self.count)

    @property
    def key(self) -> tuple:
        """What results depend on, beside their own options."""
        return (self.name, self.weights, self.text, self.sites[0].tower, self.kind, self.count)

    @property
    def pass_seconds(self) -> float:
        """About how long one picture takes; measured once."""
        import model_adapters as ma

        some = self.asked.inputs[0]
        return ma.estimate(self.model, some, ma.Keep(sites="none")).seconds / some.batch

    @property
    def measure(self) -> str:
        """Accuracy, or agreement where the truth is unknown."""
        return "Accuracy" if self.asked.labels is not None else "Agreement"

    @property
    def about(self) -> str:
        """What an answer is, where that is not plain; empty otherwise."""
        if self.model.kind != "lvlm":
            return ""
        return f"An answer here is the next word after “{self.text}”, compared with that of the whole model."


def refuse(reason: str) -> None:
    """Where there is a reason, say it and go no further."""
    if reason:
        st.info(reason, icon=":material/info:")
        st.stop()


def pick_set(model: Model) -> tuple[str, int]:
    """Which scenes the model is asked about."""
    with st.popover("Set", icon=":material/photo_library:"):
        kind = controls.pick("set", "Pictures", list(KINDS), format=lambda k: KINDS[k].capitalize())
        count = int(controls.slide("n", "How many", 8, 512, prune_effect.first_count(model), step=8))
        st.caption("Scenes from number 200 on. Their right answers are known where the model's classes are the world's.")
    return kind, count


def ask(name: str, weights: str, model: Model, text: Text, kind: str, count: int) -> Asked:
    """The whole model's answers to the set."""
    ids = prune_effect.scenes_of(kind, count)
    return session.get(
        ("prune-asked", name, weights, text, kind, count), lambda progress: prune_effect.ask(model, ids, text, progress),
        label=f"Asking the whole model about {count} {KINDS[kind]}", estimate="Prepares the pictures and runs the model once.",
    )  # fmt: skip


def ranked(bench: Bench, metric: str) -> HeadMatrix | None:
    """How much every head matters; None while it is computed, or before it is asked for."""
    from ui import set_jobs

    heads = sum(site.heads for site in bench.sites)
    runs = heads * bench.count if metric == "exact" else 6 * min(prune_rank.RANKED_ON, bench.count)
    return set_jobs.begin(
        ("prune-ranking", *bench.key, metric),
        lambda progress: prune_rank.ranking(bench.model, metric, bench.ids, bench.asked, bench.text, bench.sites, progress),
        label=f"Ranking heads by {prune_rank.METRICS[metric].lower()}", what=f"{runs} passes",
        seconds=runs * bench.pass_seconds, button="Rank heads",
    )  # fmt: skip


def show_switches(bench: Bench, now: Parts, ranking: HeadMatrix | None, metric: str) -> None:
    """The clickable matrix."""
    key = f"switches-{bench.name}-{bench.sites[0].tower}"

    def follow() -> None:
        clicked = st.session_state[key].off
        if clicked is not None:
            prune_state.set_parts(Parts.of(clicked).within(bench.sites))

    head_switches(
        [f"layer {row}" for row in range(len(bench.sites))], [site.heads for site in bench.sites], now.ids, key=key,
        values=None if ranking is None else ranking.values, label="" if ranking is None else ranking.label, on_change=follow,
    )  # fmt: skip
    told, menu = st.columns([9, 1])
    told.caption("Click what shall go; a layer's name switches all of its heads. Dragging switches several.")
    if ranking is not None:
        from ui.figures import draw

        with menu:
            snippet = prune_snippets.ranking(bench, metric)
            page.take_away(ranking, lambda: draw(ranking), key="ranking-away", title=ranking.label, snippet=snippet)


def recipes(bench: Bench, now: Parts, ranking: HeadMatrix | None) -> None:
    """One-click settings."""
    total = sum(site.heads for site in bench.sites)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        count = st.number_input("How many", 1, total - 1, max(1, total // 6), key="k", bind="query-params", width=110)
        _recipe("Least important off", "arrow_downward", ranking, lambda m: prune_rank.least(m, int(count)), now)
        _recipe("Keep the top half", "vertical_align_top", ranking, lambda m: prune_rank.least(m, total // 2), now)
        with st.popover("More", icon=":material/more_horiz:"):
            _by_type(bench, now)
            _cheapest_layer(bench, now)
        st.button(
            "All back", icon=":material/undo:", on_click=prune_state.set_parts, args=(Parts(),), disabled=not now.any, key="back"
        )


def _recipe(label: str, icon: str, ranking: HeadMatrix | None, heads: Callable[[Any], Any], now: Parts) -> None:
    chosen = () if ranking is None else heads(ranking)
    st.button(
        label, icon=f":material/{icon}:", on_click=prune_state.set_heads, args=(chosen, now), disabled=ranking is None, key=label
    )


def _by_type(bench: Bench, now: Parts) -> None:
    """All heads of one type."""
    found = session.asked(
        ("prune-types", *bench.key), lambda progress: prune_rank.types_of(
            bench.model, bench.ids[:4], bench.text, bench.sites[0].tower, progress
        ),
        label="Finding the types of the heads", button="Find types", estimate="Types of heads over 4 scenes.",
    )  # fmt: skip
    if found is None:
        return
    names = sorted({str(name) for name in found.types.ravel() if name})
    name = st.selectbox("All heads of type", names, key="type")
    heads = prune_rank.heads_of_type(found, name, bench.sites)
    st.button(f"{len(heads)} heads off", on_click=prune_state.set_heads, args=(heads, now), key="type-off")


def _cheapest_layer(bench: Bench, now: Parts) -> None:
    """One layer out: the one that costs least."""
    kind = st.segmented_control("One out", ["layer", "attention", "mlp"], default="layer", key="one-out", required=True)
    found = session.asked(
        ("prune-layers", *bench.key, kind), lambda progress: prune_rank.of_layers(
            bench.model, kind, bench.asked, bench.sites, progress
        ),
        label=f"Leaving out each {kind} in turn", button="Try each in turn", estimate=f"{len(bench.sites)} runs over the set.",
    )  # fmt: skip
    if found is None:
        return
    best = min(found, key=lambda row: found[row])
    st.caption(" · ".join(f"{row}: {kl:.2g}" for row, kl in found.items()) + " (KL without it, nats)")
    st.button(f"Take out {kind} {best}", on_click=_also, args=(now, kind, best), key="one-off")


def _also(now: Parts, kind: str, row: int) -> None:
    letter = {"layer": "l", "attention": "a", "mlp": "m"}[kind]
    prune_state.set_parts(Parts.of([*now.ids, f"{letter}{row}"]))


def show_strip(bench: Bench, judged: Judged, costs: Costs | None) -> None:
    """The numbers, each with its change against the whole model."""
    effect, whole = judged.effect, judged.whole
    with st.container(horizontal=True, gap="small"):
        _metric(
            bench.measure, percent(effect.accuracy), f"{100 * (effect.accuracy - whole.accuracy):+.1f} points",
            f"Interval {percent(judged.low.accuracy)} to {percent(judged.high.accuracy)}; {judged.count} {KINDS[bench.kind]}.",
        )  # fmt: skip
        _metric("KL", nats(effect.kl), None, f"Nats, {judged.low.kl:.2g} to {judged.high.kl:.2g}: how far the answers move.")
        _metric(
            "Flips",
            percent(effect.flips),
            None,
            f"Answers that change, {percent(judged.low.flips)} to {percent(judged.high.flips)}.",
        )
        for label, value, delta, told in _costs(costs):
            _metric(label, value, delta, told, inverse=True)
    line = (
        f"n = {judged.count} {KINDS[bench.kind]} · {bench.measure.lower()} {percent(effect.accuracy)} "
        f"[{percent(judged.low.accuracy)}, {percent(judged.high.accuracy)}]"
    )
    if costs is not None and costs.differs is not None and costs.small is not costs.whole:
        line += f" · gated and sliced logits {agreement(costs)}"
    st.caption(line)
    if bench.about:
        st.caption(f":material/forum: {bench.about}")
    if costs is not None and costs.refused:
        st.caption(f":material/info: The answers are of the gated model; it cannot really be made smaller. {costs.refused}")


def agreement(costs: Costs) -> str:
    """How far the sliced model's logits are from the gated one's."""
    return "are the same bits" if costs.differs == 0 else f"differ by at most {costs.differs:.1e}"


def nats(kl: float) -> str:
    """0.064; small ones are not spelt out."""
    return "0" if kl == 0 else "< 0.001" if kl < 0.001 else f"{kl:.3f}" if kl < 1 else f"{kl:.2f}"


def percent(share: float) -> str:
    """90.6 %."""
    return f"{100 * share:.1f} %"


def _metric(label: str, value: str, delta: str | None, told: str, inverse: bool = False) -> None:
    neutral = delta is None or delta.startswith(("+0.0 ", "+0 %", "-0 %")) or delta.endswith(UNSURE)
    colour = "off" if neutral else "inverse" if inverse else "normal"
    st.metric(label, value, delta or "–", delta_color=colour, delta_arrow="off" if neutral else "auto", help=told, border=True)  # type: ignore[arg-type]


def _costs(costs: Costs | None) -> list[tuple[str, str, str | None, str]]:
    from model_adapters.cost import readable

    if costs is None:
        return [(label, "…", None, "Being measured.") for label in ("FLOPs", "Parameters", "Latency", "Weights")]
    shown = costs.small or costs.whole
    whole, at = costs.whole, costs.at_once
    ms, spread = costs.milliseconds(shown), [1000 * s / at for s in shown.spread]
    if costs.refused:
        return [
            ("FLOPs", f"{shown.flops / at / 1e6:.0f} M", None, "Of the whole model: this one cannot be made smaller."),
            ("Parameters", f"{shown.parameters / 1e6:.2f} M", None, "Of the whole model: this one cannot be made smaller."),
            ("Latency", f"{ms:.1f} ms", None, "Of the whole model: this one cannot be made smaller."),
        ]
    peak = "Peak memory is told by accelerators only; this ran on a CPU."
    if shown.peak_bytes is not None and whole.peak_bytes is not None:
        peak = f"Peak memory of a pass: {readable(shown.peak_bytes)}, whole model {readable(whole.peak_bytes)}."
    size = costs.bytes[1] or costs.bytes[0]
    return [
        ("FLOPs", f"{shown.flops / at / 1e6:.0f} M", _change(shown.flops, whole.flops), "Of one picture, counted by torch."),
        ("Parameters", f"{shown.parameters / 1e6:.2f} M", _change(shown.parameters, whole.parameters), "Of the sliced model."),
        (
            "Latency", f"{ms:.1f} ms", _faster(shown, whole),
            f"Per picture, {at} at once, median; quartiles {spread[0]:.1f} to {spread[1]:.1f} ms. Whole model: "
            f"{costs.milliseconds(whole):.1f} ms, measured just before. Other work on this machine disturbs it.",
        ),
        ("Weights", readable(size), _change(size, costs.bytes[0]), peak),
    ]  # fmt: skip


def _faster(small: RunningCost, whole: RunningCost) -> str:
    """The change of the time; within the spread of both it says so."""
    apart = small.spread[1] < whole.spread[0] or whole.spread[1] < small.spread[0]
    return _change(small.seconds, whole.seconds) + ("" if apart else UNSURE)


def _change(now: float, before: float) -> str:
    return f"{100 * (now / before - 1):+.0f} %"
