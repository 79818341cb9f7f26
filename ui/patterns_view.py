"""The pieces of the page Patterns: thresholds, groups, the map, and the inspector of a head."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

from ui import controls, head_choice, page, sentences, state
from ui.patterns_asked import Asked, Wish
from ui.patterns_find import send
from ui.patterns_pictures import bars_against, pattern_image
from ui.results import patterns
from ui.results.heads import row_of

if TYPE_CHECKING:
    from analysis.clusters import Clusters
    from analysis.head_types import HeadTypes
    from analysis.patterns import AlignedMaps, PatternSummary
    from analysis.results import Embedding
    from ui.results.passport import Portraits

HEIGHT = 500


def type_sliders(found: Portraits) -> HeadTypes:
    """Thresholds of the types, and how many heads pass them."""
    import analysis

    method = analysis.find("head_types")
    names = [option.name for option in method.options]
    place = st.container()
    limits: dict[str, float] = {}
    for column, own in zip(st.columns(2), (names[:5], names[5:]), strict=True):
        with column:
            limits |= controls.for_method(method, prefix="limit-", without=[name for name in names if name not in own])
    types = patterns.typed(found, limits)
    place.markdown(" · ".join(f"**{count}** {name}" for name, count in patterns.counts(types).items()))
    st.caption("A type is a cut through a continuum. 0 is what even attention would give, 1 all of it.")
    return types


def group_controls(asked: Asked, codes: PatternSummary, wanted: Wish) -> Clusters | None:
    """Groups of like patterns, and how far they can be believed."""
    how: Any = controls.pick("groups-by", "Groups by", ("k-means", "density"))
    if how == "k-means":
        size = controls.slide("groups", "Groups (0: the number best apart)", 0, 12, 0, step=1)
    else:
        size = controls.slide("smallest", "Smallest group", 2, 12, 4, step=1)
    if len(codes.codes) < max(3, size):
        st.caption(f"Too few heads for groups: {len(codes.codes)}.")
        return None
    found = patterns.grouped(codes.codes, how, size)
    st.markdown(_silhouette(found))
    if len(found.tried) > 1:
        from ui.figures import draw

        figure = draw(found).update_layout(height=190)
        st.plotly_chart(figure, key="silhouettes", width="stretch")
        table = {"groups": found.tried, "silhouette": found.scores}
        snippet = _snippet(asked, wanted) + "\nshown = analysis.METHODS['k_means'].function(shown.codes)"
        page.take_away(table, figure, key="away-silhouettes", title="Silhouettes of groups of heads", snippet=snippet)
    return found


def _silhouette(found: Clusters) -> str:
    count, alone = len(found.exemplars), int((found.labels < 0).sum())
    lonely = f", {alone} heads in none" if alone else ""
    if np.isnan(found.silhouette):
        return f"**{count}** group{'s' if count != 1 else ''}{lonely}: nothing to hold apart."
    verdict = "well apart" if found.silhouette >= 0.5 else "hardly apart" if found.silhouette >= 0.25 else "no groups to speak of"
    return f"**{count}** groups{lonely}, silhouette **{found.silhouette:.2f}**: {verdict}."


def show_map(
    asked: Asked, maps: AlignedMaps, places_by: Embedding, types: HeadTypes, clusters: Clusters | None, wanted: Wish,
    marked: np.ndarray | None,
) -> list[patterns.Place]:  # fmt: skip
    """The map of all heads; the heads inside the drawn loop."""
    from ui.head_map import head_map
    from ui.point_map import point_map

    places = patterns.places_of(maps.heads, asked.sites)
    shown = head_map(maps, places_by, places, types, by=wanted.colouring, clusters=clusters)
    own = own_place(asked)
    told = point_map(
        shown,
        key="head-map",
        chosen=places.index(own) if own in places else -1,
        marked=marked,
        height=HEIGHT,
        on_choose=lambda item: state.choose(layer=places[item].row, head=places[item].head),
    )
    return [places[item] for item in told.picked]


def own_place(asked: Asked) -> patterns.Place:
    """The chosen head, or the nearest that exists."""
    site, head = head_choice.chosen_head(asked.model, asked.tower)
    return patterns.Place(row_of(asked.sites, site) or 0, head)


def inspect(asked: Asked, maps: AlignedMaps, types: HeadTypes, codes: PatternSummary) -> None:
    """The chosen head: its pattern, its numbers against the thresholds, its type and why."""
    place = own_place(asked)
    st.subheader(str(place).capitalize(), anchor=False)
    places = patterns.places_of(maps.heads, asked.sites)
    row = row_of(types.sites, asked.sites[place.row])
    if place not in places or row is None:
        st.caption("Its attention leads between no two patches that lie on the picture, so it has no pattern.")
        return
    number = places.index(place)
    parts = str(types.parts[row, place.head]).split(" + ")
    dy, dx = (int(step) for step in types.measures.offsets[row, place.head])
    kind = str(types.types[row, place.head])
    told = sentences.looks(kind, parts, (dy, dx))
    st.markdown(f":material/sell: **{' + '.join(parts)}**: it {told}.")
    left, right = st.columns([2, 3], vertical_alignment="center")
    left.image(pattern_image(maps.values[number]), width="stretch")
    right.caption(f"{_strongest(maps.values[number])} {_left_out(codes, number)}")
    st.html(bars_against(types, row, place.head))
    head_choice.link("heads/passport", "Its passport", "badge")


def _left_out(codes: PatternSummary, number: int) -> str:
    return f"{codes.codes.shape[1]} numbers leave out {sentences.share(float(codes.error[number]))} of it."


def _strongest(pattern: np.ndarray) -> str:
    y, x = np.unravel_index(int(np.nanargmax(pattern)), pattern.shape)
    where = sentences.offset(int(y) - pattern.shape[0] // 2, int(x) - pattern.shape[1] // 2)
    return f"The query is in the middle. Brightest: {np.nanmax(pattern):.1%} {where}.".replace("%", " %")


def under_map(
    asked: Asked, maps: AlignedMaps, codes: PatternSummary, at: Embedding, wanted: Wish, picked: list[patterns.Place]
) -> None:
    """What the map leaves out, and what was gathered on it."""
    from ui.figures import draw

    if picked:
        names = "; ".join(str(place) for place in picked[:4]) + (" …" if len(picked) > 4 else "")
        send(picked, "send-picked", f"{len(picked)} heads in the loop: {names}")
        return
    plane = "" if at.explained is None else f" The plane keeps {sentences.share(at.explained)} of what differs;"
    others = "" if codes.held_out is None else f" (of heads held out from training: {sentences.share(codes.held_out)})"
    text, menu = st.columns([9, 1])
    text.caption(
        f"A tile is a head: its mean attention around the query over {maps.images} scenes.{plane} {codes.codes.shape[1]} numbers "
        f"per head leave out {sentences.share(codes.total_error)}{others}. Draw a loop to gather heads; ctrl and wheel to zoom."
    )
    with menu:
        page.take_away(codes, draw(codes), key="patterns", title="Patterns of heads", snippet=_snippet(asked, wanted))


def _snippet(asked: Asked, wanted: Wish) -> str:
    from ui.results.set_snippet import set_snippet

    name, weights = asked.key[:2]
    summary = f"pattern_pca.function(maps, components={wanted.size})"
    if wanted.how == "autoencoder":
        summary = f"pattern_autoencoder.function(maps, latent={wanted.size}).summary"
    lines = [
        f"maps = analysis.patterns.aligned_maps(captures, tower={asked.tower!r}, value={wanted.value!r})",
        f"shown = analysis.METHODS[{summary.partition('.')[0]!r}].{summary.partition('.')[2]}",
    ]
    return set_snippet(name, weights, asked.text, asked.ids, lines)
