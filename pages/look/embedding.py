"""Look / Embedding: which queries meet which keys? Heads, hidden states and patch features as points and colours."""

from functools import partial

import streamlit as st

from ui import controls, embedding_asked, embedding_view, head_choice, notes, page, pickers, session
from ui.results import embedding

page.header("Embedding", "Which queries meet which keys?", about=("model", "picture", "head"))
name, weights, picture = pickers.model_name(), pickers.weights(), pickers.picture()
model = session.model(name, weights)
tower, text = pickers.tower(model), pickers.text(model)
row = st.container(horizontal=True, vertical_alignment="bottom", gap="small")
with row:
    wanted = embedding_asked.wish()
asked = embedding_asked.look(model, name, weights, tower, text, picture, wanted.count)
seen = asked.seen

if wanted.mode == "heads":
    if reason := embedding.why_no_queries(seen):
        embedding_asked.refuse(model, reason)
        st.stop()
    site, head = embedding.same_head(seen, *head_choice.chosen_head(model, tower))
    found = embedding_asked.placed(asked, (site, head), wanted.by, partial(embedding.head_points, seen, site, head))
    left, right = st.columns([5, 2], gap="medium")
    with row:
        marked = embedding_asked.search(found.tokens, seen)
    with right:
        st.markdown(f"**Layer {seen.sites.index(site)}, head {head}** among all heads")
        embedding_view.overview(asked)
    with left:
        chosen, items = embedding_view.draw_head(found, asked, (site, head), wanted.colouring, marked)
    vectors, joint = found.joint.vectors, True
else:
    layers = embedding.layers(seen)
    with row:
        layer = controls.slide("states-of", "Layer (last: output)", layers[0], layers[-1], layers[-1], step=1)
    if wanted.mode == "colours":
        embedding_view.colours(asked, layer)
        notes.how_to_read("patch_colours", "position_artefact")
        st.stop()
    found = embedding_asked.placed(asked, ("states", layer), wanted.by, partial(embedding.state_points, seen, layer))
    with row:
        marked = embedding_asked.search(found.tokens, seen)
    chosen, items = embedding_view.draw_states(found, asked, layer, wanted.colouring, marked)
    vectors, joint = found.vectors, False

left, right = st.columns(2, gap="medium")
with left, st.container(border=True):
    embedding_view.neighbours(asked, vectors, found.tokens, chosen, joint=joint)
with right, st.container(border=True):
    embedding_view.gathered(asked, found.tokens, items)
notes.how_to_read("query_key_embedding" if joint else "hidden_embedding", "nearest")
