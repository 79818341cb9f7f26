"""Trust: the benchmark of the small world, and what can be measured about a map on this very picture."""

import streamlit as st

from ui import controls, notes, page, pickers
from ui import trust_parts as parts

VIEWS = {
    "benchmark": "Benchmark", "picture": "This picture", "shuffled": "Shuffled model", "agreement": "Do maps agree?",
    "examples": "Best and worst",
}  # fmt: skip

page.header("Trust", "How far can I believe these pictures?", about=("model", "picture", "class"))
view = controls.pick("trust", "Show", list(VIEWS), format=lambda each: VIEWS[each])
if view == "benchmark":
    parts.benchmark()
    st.caption("Measured in the small world, where the truth is known. What fails there has no claim to be believed elsewhere.")
    notes.how_to_read("energy_in_mask", "faithfulness", "randomisation_check")
else:
    asked = parts.Asked(pickers.model_name(), pickers.weights(), pickers.picture())
    show = {
        "picture": parts.this_picture, "shuffled": parts.shuffled_model, "agreement": parts.agreement,
        "examples": parts.examples,
    }  # fmt: skip
    show[view](asked)
    about = {"picture": "faithfulness", "shuffled": "randomisation_check", "agreement": "map_agreement"}
    notes.how_to_read(about.get(view, "energy_in_mask"), asked.method)
