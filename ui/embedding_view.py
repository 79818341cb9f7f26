"""The pieces of the page Embedding: maps of queries and keys or hidden states, neighbours, and what was gathered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

from ui import page, sentences, session, state
from ui.embedding_asked import Asked
from ui.results import embedding
from ui.results.heads import largest_object

if TYPE_CHECKING:
    from model_adapters import Site
    from ui.point_map import PointMap, Tokens

HEIGHT = 500
NEIGHBOURS = 8
LISTED = 400
_TOKEN = "embedding-token"
_WITH_MENU = [9, 1]


def draw_head(
    found: embedding.HeadPoints, asked: Asked, head: tuple[Site, int], colouring: Any, marked: np.ndarray | None
) -> tuple[int, list[int]]:
    """Queries and keys of one head, and how far the picture can be believed."""
    from ui.results.embedding_maps import head_map

    site, number = head
    told = draw(head_map(found, asked.seen, colouring), asked, "query-key-map", marked)
    text, menu = st.columns(_WITH_MENU)
    with text:
        about_head(found)
    with menu:
        line = f"analysis.projections.query_key_embedding(captures, site, {number})"
        site_line = f"site = [s for s in captures[0].sites if s.tower == {asked.seen.tower!r}][{asked.seen.sites.index(site)}]"
        _take_away(asked, found.joint, [site_line, f"shown = {line}"], ["queries"], f"Layer {site.layer}, head {number}")
    return told


def draw_states(
    found: embedding.StatePoints, asked: Asked, layer: int, colouring: Any, marked: np.ndarray | None
) -> tuple[int, list[int]]:
    """Hidden states of one layer, and how far the picture can be believed."""
    from ui.results.embedding_maps import state_map

    told = draw(state_map(found, asked.seen, colouring), asked, "state-map", marked)
    text, menu = st.columns(_WITH_MENU)
    with text:
        about_states(found)
    with menu:
        line = f"shown = analysis.projections.hidden_embedding(captures, tower={asked.seen.tower!r}, layer={layer})"
        _take_away(asked, found.embedding, [line], ["hidden"], f"Hidden states of layer {layer}")
    return told


def _take_away(asked: Asked, result: Any, lines: list[str], want: list[str], title: str) -> None:
    from ui.figures import draw as figure_of
    from ui.results.set_snippet import set_snippet

    name, weights, _, text = asked.key[:4]
    ids = [picture.id for picture in asked.seen.pictures]
    page.take_away(
        result, figure_of(result), key="embedding", title=title, snippet=set_snippet(name, weights, text, ids, lines, want)
    )


def draw(shown: PointMap, asked: Asked, key: str, marked: np.ndarray | None) -> tuple[int, list[int]]:
    """The map with its pictures; the chosen point, and the points inside the drawn loop."""
    from ui.point_map import point_map

    tokens = shown.tokens
    if tokens is None:
        raise ValueError("a map of tokens is needed. This one has none.")
    chosen = _chosen(tokens, asked.seen)

    def choose(item: int) -> None:
        first = int(np.flatnonzero((tokens.picture == tokens.picture[item]) & (tokens.kind == tokens.kind[item]))[0])
        picture, row = int(tokens.picture[item]), item - first
        st.session_state[_TOKEN] = (asked.seen.pictures[picture].id, int(tokens.kind[item]), row)
        if picture == 0:
            state.choose(query=str(row))

    told = point_map(shown, key=key, chosen=chosen, marked=marked, height=HEIGHT, on_choose=choose)
    return chosen, list(told.picked)


def _chosen(tokens: Tokens, seen: embedding.Seen) -> int:
    """The point of the chosen token; to begin with one on the largest object of the first picture."""
    id, kind, row = st.session_state.get(_TOKEN, ("", 0, 0))
    titles = [picture.id for picture in seen.pictures]
    query = state.chosen().query
    if id not in titles:
        id, kind, row = titles[0], 0, int(query) if query.isdigit() else -1
    kind = min(kind, len(tokens.kinds) - 1)
    own = np.flatnonzero((tokens.picture == titles.index(id)) & (tokens.kind == kind))
    if 0 <= row < len(own):
        return int(own[row])
    wanted = largest_object(seen.pictures[0])
    there = (
        [item for item in own if tokens.words[tokens.word[item]] == wanted]
        or [i for i in own if tokens.place[i, 0] >= 0]
        or list(own)
    )
    return int(there[len(there) // 2])


def name_of(tokens: Tokens, item: int) -> str:
    """A token in words."""
    row, column = tokens.place[item]
    place = f"row {row}, column {column}" if row >= 0 else tokens.words[tokens.word[item]]
    return f"{tokens.kinds[tokens.kind[item]]} at {place}" if row >= 0 else f"{place} as {tokens.kinds[tokens.kind[item]]}"


def overview(asked: Asked) -> None:
    """All heads as small scatters; a click chooses one."""
    from ui.point_map import point_map
    from ui.results.embedding_maps import panel_map

    found = session.part(
        ("embedding-panels", *asked.key),
        lambda progress: embedding.panels(asked.seen, progress),
        label="All heads",
        estimate="a few seconds",
    )
    if found is None:
        return
    now = state.chosen()
    rows = len(found.correlation.sites)
    place = [now.head, now.layer % rows if -rows <= now.layer < rows else rows - 1]
    at = np.flatnonzero((found.places == place).all(1))

    def choose(item: int) -> None:
        head, row = (int(n) for n in found.places[item])
        state.choose(layer=row, head=head)

    point_map(
        panel_map(found),
        key="head-panels",
        chosen=int(at[0]) if len(at) else -1,
        height=min(HEIGHT - 60, 90 * rows + 30),
        on_choose=choose,
    )
    st.caption(f"Heads across, layers down; {found.images} picture{'s' if found.images > 1 else ''}. Click to enlarge.")


def about_head(found: embedding.HeadPoints) -> None:
    """How far the picture can be believed."""
    joint = found.joint
    kept = (
        ""
        if joint.embedding.explained is None
        else f" The plane keeps {sentences.share(joint.embedding.explained)} of the spread."
    )
    st.caption(
        f"Near means attended as far as this goes: distance against product {joint.correlation:.2f} (−1 is best).{kept} "
        f"Queries are multiplied and keys divided by {joint.scale:.2f}, which changes no attention.".replace("-", "−")
    )


def about_states(found: embedding.StatePoints) -> None:
    """How far the picture can be believed."""
    if found.embedding.explained is None:
        st.caption("Neighbourhoods mean something here, distances between groups do not; groups appear in noise, too.")
    else:
        st.caption(
            f"The plane keeps {sentences.share(found.embedding.explained)} of the spread of {found.vectors.shape[1]} dimensions."
        )


def neighbours(asked: Asked, vectors: np.ndarray, tokens: Tokens, item: int, *, joint: bool) -> None:
    """The nearest points in all dimensions, as patches."""
    from ui.results.embedding_maps import patch

    other = tokens.kind != tokens.kind[item] if joint else np.ones(len(tokens.kind), bool)
    candidates = np.flatnonzero(other & (tokens.place[:, 0] >= 0))
    wanted = tokens.kinds[1 - int(tokens.kind[item])] if joint else "token"
    st.subheader(f"Nearest {'keys' if wanted == 'key' else 'queries' if wanted == 'query' else 'tokens'}", anchor=False)
    if not len(candidates):
        st.caption("No token of this tower has a place on a picture, so there are no patches to show.")
        return
    near = embedding.neighbours(vectors, item, candidates, distance="euclidean" if joint else "cosine", count=NEIGHBOURS)
    picture = asked.seen.pictures[int(tokens.picture[item])]
    st.caption(f"To the {name_of(tokens, item)} of {picture.title}, in all {vectors.shape[1]} dimensions.")
    told = [(item, "this one"), *((n, f"{far:.2f}  \n{asked.seen.pictures[int(tokens.picture[n])].title}") for n, far in near)]
    with st.container(horizontal=True, gap="small"):
        for n, text in told:
            if (image := patch(asked.seen, tokens, n)) is not None:
                st.image(image, caption=text, width=84)


def gathered(asked: Asked, tokens: Tokens, items: list[int]) -> None:
    """What lies inside the drawn loop: patches and pictures."""
    from ui.results.embedding_maps import with_patches

    st.subheader("In the loop", anchor=False)
    if not items:
        st.caption("Draw a loop around points on the map, or gather them with the space bar, to list their patches here.")
        return
    st.caption(_counted(tokens, items))
    involved = [int(n) for n in np.unique(tokens.picture[items])]
    with st.container(horizontal=True, gap="small"):
        for n in involved[:8]:
            st.image(with_patches(asked.seen, tokens, n, items, 150), caption=asked.seen.pictures[n].title, width=112)
    table = [
        {
            "Token": tokens.kinds[tokens.kind[i]], "Picture": asked.seen.pictures[int(tokens.picture[i])].title,
            "Row": int(tokens.place[i, 0]), "Column": int(tokens.place[i, 1]), "What is there": tokens.words[tokens.word[i]],
        }
        for i in items[:LISTED]
    ]  # fmt: skip
    st.dataframe(table, hide_index=True, height=220)
    if len(items) > LISTED:
        st.caption(f"The first {LISTED} of {len(items):,}.")


def _counted(tokens: Tokens, items: list[int]) -> str:
    def most(names: list[str]) -> str:
        counted = sorted({name: names.count(name) for name in names if name}.items(), key=lambda each: -each[1])
        return ", ".join(f"{count} {name}" for name, count in counted[:5])

    plural = {"query": "queries", "key": "keys", "token": "tokens"}
    kinds = most([plural[tokens.kinds[tokens.kind[i]]] for i in items])
    return " · ".join(filter(None, [kinds, most([tokens.words[tokens.word[i]] for i in items])]))


def colours(asked: Asked, layer: int) -> None:
    """Patch features as red, green and blue, as they are and without what belongs to the position."""
    found = session.get(
        ("embedding-colours", *asked.key, layer), lambda _: embedding.colours(asked.seen, layer), label="Colouring patches"
    )
    kept = ", ".join(sentences.share(float(part)) for part in found.kept.explained)
    st.caption(f"Alike features have alike colours in all pictures. Red, green and blue tell {kept} of the spread.")
    from ui.results.embedding_maps import colour_picture

    columns = st.columns(min(8, max(4, len(asked.seen.pictures))), gap="small")
    for number, picture in enumerate(asked.seen.pictures):
        size = (picture.array.shape[1], picture.array.shape[0])
        with columns[number % len(columns)]:
            st.caption(picture.title)
            st.image(picture.array, width="stretch")
            st.image(colour_picture(found.kept, number, found.rows[number], size), width="stretch")
            if found.removed is not None:
                st.image(colour_picture(found.removed, number, found.rows[number], size), width="stretch")
    if found.removed is None:
        st.info("What belongs to the position can be told from two pictures on. Choose more pictures.", icon=":material/info:")
    else:
        st.caption(
            "Above: features as they are. Below: without the mean of each position over the pictures, "
            f"which explains {sentences.share(found.position)} of their spread here."
        )
