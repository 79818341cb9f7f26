"""Heads / Passport: everything that is known of one head, on one page."""

import streamlit as st

from ui import head_choice, notes, page, pickers, session
from ui import passport_parts as parts
from ui.passport_typical import typical

name, weights, picture = pickers.model_name(), pickers.weights(), pickers.picture()
known = session.loaded(name, weights)
who = head_choice.title(known, pickers.tower(known)) if known is not None else "this head"
page.header("Passport", f"Who is {who[:1].lower()}{who[1:]}?", about=("model", "picture", "class", "head"))
model = session.model(name, weights)
summary = st.container()
papers = parts.papers(model, name, weights, picture)
with summary:
    parts.sentence(papers)
parts.portrait(papers)
parts.worth(papers)
typical(papers)
notes.how_to_read("head_types", "aligned_maps", "ablation_importance")
