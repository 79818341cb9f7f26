"""The lower half of the page Sinks: always the same place? how much is position? what are sinks for?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

from ui import controls, page, pickers, pictures, session, sinks_snippets, sinks_view
from ui.film import Frame, film
from ui.results.heads import FIRST_SCENE
from ui.results.sinks import Layer
from ui.results.sinks_set import Asked

if TYPE_CHECKING:
    from model_adapters import Capture, Model, Subject
    from ui.results.sinks_set import OverScenes


def asked_of(model: Model, layer: Layer, wish: sinks_view.Wish) -> Asked:
    """Which tokens are meant over scenes."""
    told = "Test scenes drawn without bias, from number 200 on."
    scenes = int(controls.slide("scenes", "Scenes", 4, 64, 16, step=4, help=told))
    return Asked(wish.sign, layer.number, wish.tower, wish.deviations, wish.multiple, scenes, pickers.text(model))


def show_scenes(over: OverScenes, asked: Asked) -> None:
    """Where sinks lie over scenes, and what belongs to the position."""
    often = over.share.max()
    mean = np.mean([len(s) for s in over.sinks])
    if often:
        st.markdown(
            f"**{mean:.1f} sinks per scene** in layer {asked.layer}; the commonest place is one in **{often:.0%}** of "
            f"{over.scenes} scenes. A sink that ignores the picture is always in one place."
        )
    else:
        st.markdown(f"**No sink in any of {over.scenes} scenes** in layer {asked.layer} by this sign.")
    scene = pictures.picture(f"scene:{FIRST_SCENE}")
    maps = {
        "share of scenes": (over.share, "share of scenes in which the patch is a sink"),
        "position artefact": (over.artefact, "length of what belongs to the position"),
    }
    shown = controls.pick("places", "Map", tuple(maps), format=str.capitalize)
    values, unit = maps[shown]
    placed = ~np.isnan(over.boxes[:, 0])
    frame = Frame(shown, values[placed], over.boxes[placed])
    film(scene.image, [frame], at=0, unit=unit, key=f"places-{shown}-{asked.tower}")
    title = f"{shown.capitalize()}, layer {asked.layer}"
    sinks_view.away_of(scene, frame, unit, key="places-away", title=title, snippet=sinks_snippets.places(asked, shown))
    st.caption(
        f"Position alone explains {over.explained:.0%} of the variance of the patch features over {over.scenes} scenes "
        "(corrected for their number). Position embeddings are part of it, so it is never nothing."
    )


def show_what_if(
    model: Model, subject: Subject, capture: Capture, layer: Layer, asked: Asked, over: OverScenes, key: tuple
) -> None:
    """Before and after on this picture, and the same over scenes."""
    from ui.figures import figure_of
    from ui.results import sinks_set
    from ui.results.sinks_drawn import outcome

    if reason := subject.refusals.get("logits"):
        st.info(f"There is no answer that could change. {reason}", icon=":material/info:")
        return
    names = sinks_set.offered(capture, asked, over)
    if not names:
        st.info("Nothing can be changed after the last layer. Stop the film at an earlier one.", icon=":material/info:")
        return
    if not layer.sinks:
        st.info(
            f"This picture has no sink in {layer.title} by this sign, so there is nothing to take away. Lower the threshold, "
            "choose another layer, or try a model that has some.", icon=":material/info:",
        )  # fmt: skip
        return
    name = st.pills("What if", names, default=names[0], key="what-if", required=True, format_func=str.capitalize)
    found = session.part(
        ("sink-outcome", *key, asked, name, layer.sinks),
        lambda progress: sinks_set.before_after(subject, capture, asked, name, layer.sinks, over),
        label="Trying it on this picture",
    )
    if found is not None:
        _say(found, len(layer.sinks))
        called = sinks_view.class_names(model, found.top)
        figure = outcome(found, called)
        st.plotly_chart(figure, key="outcome", width="stretch", config={"displayModeBar": False})
        table = {"class": called, "before": found.before[found.top], "after": found.after[found.top]}
        table |= {"random": found.random.mean(0)[found.top], "random_deviation": found.random.std(0)[found.top]}
        snippet = sinks_snippets.on_picture(capture, asked, name, over, len(found.random))
        page.take_away(table, lambda: figure_of(figure), key="outcome-away", title=f"What if: {name}", snippet=snippet)
    _missing(names, over)


def _say(found: Any, count: int) -> None:
    best = int(found.before.argmax())
    spread = found.random[:, best]
    tokens = "the sink is" if count == 1 else f"the {count} sinks are"
    same = "one random patch" if count == 1 else f"{count} random patches"
    st.markdown(
        f"Probability of the first answer **{found.before[best]:.3f}**; when {tokens} changed **{found.after[best]:.3f}**; "
        f"with {same} instead {spread.mean():.3f} ± {spread.std():.3f} ({len(spread)} draws)."
    )


def _missing(names: tuple[str, ...], over: OverScenes) -> None:
    if not any("massive" in name for name in names):
        st.caption("No dimension of this layer is massive on this picture, so there is none to zero or to set.")
    if over.no_added:
        st.caption(f"Registers at test time are not offered: {over.no_added}")


def show_over_scenes(model: Model, subject: Subject, capture: Capture, asked: Asked, over: OverScenes, key: tuple) -> None:
    """All what-ifs over the scenes, against random patches."""
    from ui.figures import draw
    from ui.results import sinks_set
    from ui.results.heads import pass_seconds

    if subject.refusals.get("logits") or not any(over.sinks) or not sinks_set.offered(capture, asked, over):
        return
    total = sinks_set.passes(capture, asked, over)
    dims = sinks_set.massive_dims(capture, asked)
    rows = session.asked(
        ("sink-whatifs", *key, asked, dims), lambda progress: sinks_set.whatifs(model, capture, asked, over, progress),
        label="Every what-if over scenes", button=f"All of them over {over.scenes} scenes",
        estimate=f"{total} passes, about {max(1, round(1.3 * total * pass_seconds(subject)))} s.",
    )  # fmt: skip
    if rows is None:
        return
    figure = draw(rows)
    st.plotly_chart(figure, key="effects", width="stretch", config={"displayModeBar": False})
    snippet = sinks_snippets.over_scenes(capture, asked, over)
    page.take_away(rows, figure, key="effects-away", title="What sinks are for", snippet=snippet)
    for row in rows:
        draws = [r.kl for r in row.random]
        st.caption(
            f"{row.name.capitalize()}: KL {row.sinks.kl:.2g}, flips {row.sinks.flips:.0%}; random patches "
            f"{np.mean(draws):.2g} ± {np.std(draws):.2g}, {np.mean([r.flips for r in row.random]):.0%} "
            f"({len(draws)} draws of {over.scenes} scenes)."
        )
