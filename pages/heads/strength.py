"""Heads / Strength: how far heads look and where their weight goes, over the depth of the model."""

import streamlit as st

from ui import notes, page, pickers, session
from ui import strength_parts as parts

page.header("Strength", "How far do heads look, and how does that change with depth?")
name, weights, picture = pickers.model_name(), pickers.weights(), pickers.picture()
model = session.model(name, weights)
asked = parts.asked(model, name, weights, picture)
left, right = st.columns([2, 1], gap="medium")
with left:
    one, other = st.columns(2)
    with one:
        found = parts.matrix(asked)
    with other:
        profiles = parts.profile(asked)
    parts.trends(asked, found, profiles)
with right:
    parts.inspector(asked, found)
notes.how_to_read(asked.method.name, "ring_profile")
