"""Heads / Importance: which heads this prediction depends on, exactly and by cheap metrics."""

import streamlit as st

from ui import importance_asked, notes, page, pickers, session
from ui import importance_parts as parts

page.header("Importance", "Which heads does this prediction depend on?", about=("model", "picture", "class", "head"))
name, weights, picture = pickers.model_name(), pickers.weights(), pickers.picture()
model = session.model(name, weights)
asked = importance_asked.asked(model, name, weights, picture)
left, right = st.columns([2, 1], gap="medium")
with left:
    found = importance_asked.found(asked)
    if found is not None:
        parts.matrices(asked, found)
if found is not None:
    with right:
        verdicts = parts.correlations(asked, found)
        parts.scatter(asked, found, verdicts)
        parts.inspector(asked, found)
    with left:
        parts.below(asked, found, verdicts)
notes.how_to_read("ablation_importance", *parts.methods(asked), "joint_ablation")
