"""Look / Attention: what each patch looks at, in every head; maps for a class, each with its number."""

import streamlit as st

from ui import capture_notes, controls, looking_parts, notes, page, pickers, session, state
from ui.viewer import viewer

page.header("Attention", "What does each patch look at?", about=("model", "picture", "class", "heads"))
name, weights, picture = pickers.model_name(), pickers.weights(), pickers.picture()

view = looking_parts.view(name, weights, picture)
now = state.chosen()
shown = viewer(
    view,
    key="attention",
    layer=now.layer % len(view.layers),
    head=now.head,
    query=looking_parts.query(now.query),
    fuse=now.fuse,
    mode=now.weighing,
    smooth=now.smooth,
    sort=now.order,
    height=looking_parts.HEIGHT,
    on_change=looking_parts.follow,
)
looking_parts.answer_line(view, shown)
model = session.loaded(name, weights)
noted = capture_notes.sentences(view, model.report if model is not None else None)
capture_notes.show(noted)

if model is None:
    looking_parts.wait_for(name, weights)
    st.stop()
st.subheader("Maps for a class", anchor=False)
subject = session.subject(name, weights, picture)
able, unable = looking_parts.offered(subject)
first = looking_parts.first_maps(able)
chosen = controls.pick_many("maps", "Methods", list(able), default=first, most=4, format=lambda each: able[each])
for column, method in zip(st.columns(4, gap="small"), chosen, strict=False):
    with column:
        looking_parts.show_map(subject, picture, method)
        capture_notes.show(noted, small=True)
looking_parts.refused(unable)
notes.how_to_read(*chosen)
