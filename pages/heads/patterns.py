"""Heads / Patterns: what kinds of heads are there? A map of all heads, their types, groups, and heads that meet conditions."""

import numpy as np
import streamlit as st

from ui import controls, notes, page, patterns_asked, patterns_find, patterns_view, pickers, session
from ui.results import patterns

page.header("Patterns", "What kinds of heads are there?", about=("model", "head"))
name, weights = pickers.model_name(), pickers.weights()
model = session.model(name, weights)
tower, text = pickers.tower(model), pickers.text(model)
wanted = patterns_asked.wish()
asked = patterns_asked.Asked(model, (name, weights, tower, text, wanted.ids), tower, text, wanted.ids)

found = patterns_asked.portraits(asked)
maps = patterns_asked.maps_of(asked, found, wanted)
codes = patterns_asked.summary(asked, maps, wanted)
left, right = st.columns([2, 1], gap="medium")
with right:
    own, by_type, by_group = st.tabs(["This head", "Types", "Groups"])
    with by_type:
        types = patterns_view.type_sliders(found)
    with by_group:
        clusters = patterns_view.group_controls(asked, codes, wanted)
    with own:
        patterns_view.inspect(asked, maps, types, codes)

st.subheader("Find heads that …", anchor=False)
importances = patterns_asked.importances(asked)
heads = patterns_find.query(patterns.known_of(found, types, importances))
places = list(patterns.places_of([(head.site, head.head) for head in heads], asked.sites))
with st.container(horizontal=True, vertical_alignment="center"):
    patterns_find.send(places, "send-found", f"{len(heads)} of {len(maps.heads)} heads")
    lit = controls.flag("lit", "Show them on the map")
patterns_find.cards(asked, maps, heads)

with left:
    on_map = patterns.places_of(maps.heads, asked.sites)
    marked = np.isin([str(place) for place in on_map], [str(place) for place in places]) if lit else None
    at = patterns_asked.embedding(asked, maps, codes, wanted)
    picked = patterns_view.show_map(asked, maps, at, types, clusters, wanted, marked)
    patterns_view.under_map(asked, maps, codes, at, wanted, picked)
notes.how_to_read("aligned_maps", "pattern_pca", "head_types", "k_means")
