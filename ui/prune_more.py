"""The lower half of the page Prune: curves over budgets, a greedy search, and the smaller model to take along."""

from __future__ import annotations

import io
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import streamlit as st

from ui import controls, page, prune_search_snippets, prune_state, prune_view, session
from ui.prune_view import Bench
from ui.results import prune_rank
from ui.results.prune import Parts, cut_for

if TYPE_CHECKING:
    from analysis.importance_results import JointAblation
    from ui.jobs import Progress
    from ui.prune_state import Tried

CHOSEN = ("gate_gradient", "gate_times_gradient", "confidence")
_FOLDER = "slim"


def show_curves(bench: Bench) -> None:
    """What is left when growing shares of the heads go, by several rankings and by chance."""
    from ui.figures import draw
    from ui.set_jobs import span

    st.subheader("Which ranking to trust?", anchor=False)
    metrics = controls.pick_many(
        "rankings", "Rankings", list(prune_rank.METRICS), default=CHOSEN, most=4, format=lambda m: prune_rank.METRICS[m]
    )
    if not metrics:
        st.caption("Choose a ranking to see what is left when its least important heads go.")
        return
    heads = sum(site.heads for site in bench.sites)
    passes = (len(metrics) + prune_rank.RANDOM_ORDERS) * len(prune_rank.SHARES) * bench.count
    passes += 6 * prune_rank.RANKED_ON * len(metrics) + ("exact" in metrics) * heads * bench.count
    found = session.asked(
        ("prune-curves", *bench.key, tuple(metrics)), lambda progress: _curves(bench, metrics, progress),
        label="Taking heads out by every ranking", button="Compare rankings",
        estimate=f"{passes} passes, about {span(passes * bench.pass_seconds)}.",
    )  # fmt: skip
    if found is None:
        return
    figure = draw(joint(found, heads)).update_layout(height=320)
    figure.update_yaxes(title=bench.measure, tickformat=".0%")
    st.plotly_chart(figure, key="curves", width="stretch", config={"displayModeBar": False})
    snippet = prune_search_snippets.curves(bench, metrics)
    page.take_away(joint(found, heads), figure, key="curves-away", title="Pruning by importance", snippet=snippet)
    st.caption(
        f"{bench.measure} on {found.count} pictures as heads go, least important first; the band is {len(found.random)} random "
        "orders. Nothing is trained afterwards: a model that is trained on after pruning loses less."
    )


def _curves(bench: Bench, metrics: list[str], progress: Progress) -> prune_rank.Curves:
    rankings = {
        prune_rank.METRICS[metric]: prune_rank.ranking(
            bench.model, metric, bench.ids, bench.asked, bench.text, bench.sites, progress
        )
        for metric in metrics
    }
    return prune_rank.curves(bench.model, rankings, bench.asked, bench.sites, progress)


def joint(found: prune_rank.Curves, heads: int) -> JointAblation:
    """Curves in the form that has a drawing."""
    from analysis.importance_results import JointAblation

    def accuracies(curve: Any) -> list[float]:
        return [point.effect.accuracy for point in curve.points]

    steps = np.array([len(point.removed) for point in next(iter(found.by_metric.values())).points])
    return JointAblation(
        tuple(found.by_metric), steps, np.array([accuracies(c) for c in found.by_metric.values()]),
        np.array([accuracies(c) for c in found.random]), "accuracy" if found.labels else "agreement",
    )  # fmt: skip


def show_search(bench: Bench, refused: str) -> None:
    """Find a smaller model by trying everything, step by step."""
    from ui.figures import draw
    from ui.set_jobs import span

    st.subheader("Search for the best to go", anchor=False)
    if refused:
        st.info(f"The search counts what the really smaller model needs. {refused}", icon=":material/info:")
        return
    target = controls.slide("target", "FLOPs to be left, percent", 30, 95, 85, step=5)
    kinds = controls.pick_many("search", "May go", get_args(prune_rank.Kind), default=("head", "mlp"))
    if not kinds:
        st.caption("Choose what may go.")
        return
    units = sum(site.heads for site in bench.sites) * ("head" in kinds) + len(bench.sites) * len(set(kinds) - {"head"})
    steps = max(1, round(units * (1 - target / 100)))
    passes = steps * units * bench.count
    found = session.asked(
        ("prune-search", *bench.key, target, tuple(kinds)),
        lambda progress: prune_rank.search(bench.model, bench.asked, bench.sites, target / 100, kinds, progress),
        label="Greedy search", button="Search", estimate=f"At most {passes} passes, about {span(passes * bench.pass_seconds)}.",
    )  # fmt: skip
    if found is None:
        return
    last = found.curve.points[-1]
    reached = "reached" if found.curve.reached else "not reached: nothing is left to take"
    st.markdown(
        f"**{found.parts[-1].words}**: {(last.cost or 0) / found.whole:.0%} of the FLOPs ({reached}), "
        f"{bench.measure.lower()} {prune_view.percent(last.effect.accuracy)}, KL {last.effect.kl:.2g}, "
        f"on the same {bench.count} scenes that it was searched on."
    )
    figure = draw(found.curve).update_layout(height=240)
    st.plotly_chart(figure, key="search-curve", width="stretch", config={"displayModeBar": False})
    snippet = prune_search_snippets.search(bench, target / 100, kinds)
    page.take_away(found.curve, figure, key="search-away", title="Greedy search", snippet=snippet)
    st.button("Take this setting", icon=":material/check:", on_click=prune_state.set_parts, args=(found.parts[-1],), key="take")
    st.caption("Each step was the best for these scenes. Take it, then choose other scenes in the set to confirm it.")


def show_save(bench: Bench, now: Parts, current: Tried | None) -> None:
    """The smaller model as a folder, once its answers were compared."""
    st.subheader("Save the smaller model", anchor=False)
    small = None if current is None or current.costs is None else current.costs.small
    if current is None or current.costs is None:
        st.caption("Being made and compared with the gated model …")
        return
    if current.costs.refused or small is None:
        st.info(f"Sliced weights cannot be had of this model. {current.costs.refused}", icon=":material/info:")
        return
    if not now.any:
        st.caption("Nothing is off. Switch something off, and the smaller model can be taken along.")
        return
    st.markdown(
        f"{now.words[:1].upper()}{now.words[1:]}: {small.parameters:,} of {current.costs.whole.parameters:,} "
        f"parameters. The logits of the sliced model and of the gated one {prune_view.agreement(current.costs)}."
    )
    st.download_button(
        "Save the smaller model", lambda: zipped(bench, now), file_name=f"{_FOLDER}.zip", mime="application/zip",
        icon=":material/save:", key="save", on_click="ignore",
    )  # fmt: skip
    st.code(snippet(bench.name), language="python")


def zipped(bench: Bench, now: Parts) -> bytes:
    """The checkpoint folder as a zip file."""
    from model_adapters.slimming import save_slim, slimmed

    cut = cut_for(bench.model, now.edits(bench.sites))
    module = slimmed(bench.model.module, cut)
    buffer = io.BytesIO()
    with tempfile.TemporaryDirectory() as place, zipfile.ZipFile(buffer, "w") as archive:
        folder = save_slim(module, cut, Path(place) / _FOLDER, architecture=_architecture(bench.name), **_options(bench))
        for file in sorted(folder.iterdir()):
            archive.write(file, f"{_FOLDER}/{file.name}")
        archive.writestr("load.py", snippet(bench.name))
    return buffer.getvalue()


def snippet(name: str) -> str:
    """The Python that loads the saved folder."""
    from model_adapters.slimming import loader_snippet

    if _architecture(name) is not None:
        return loader_snippet(_FOLDER)
    return (
        "import model_adapters as ma\nfrom model_adapters.slimming import load_slim\n\n"
        f"module = load_slim({_FOLDER!r}, build=lambda: ma.load({name!r}).module)\nmodel = ma.wrap(module, name='slim')\n"
    )


def _architecture(name: str) -> str | None:
    """What timm calls the whole model; None for models that are no architecture of timm."""
    return name.removeprefix("timm:") if name.startswith("timm:") else None


def _options(bench: Bench) -> dict[str, Any]:
    return {"num_classes": getattr(bench.model.module, "num_classes", 0)} if _architecture(bench.name) else {}
