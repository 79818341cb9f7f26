"""Tokens / Sinks: are some tokens only a place to park attention?"""

import streamlit as st

from ui import notes, page, pickers, session, sinks_view, sinks_whatifs
from ui.results import sinks

page.header("Sinks", "Are some tokens only a place to park attention?", about=("model", "picture"))
name, weights, picture = pickers.model_name(), pickers.weights(), pickers.picture()
model = session.model(name, weights)
subject = session.subject(name, weights, picture)
key = (name, weights, picture.key, pickers.text(model))
capture = session.get(("sinks", *key), lambda progress: sinks.seen(subject, progress), label="Looking at every layer")
wish = sinks_view.wish(capture, pickers.tower(model))
try:
    found = sinks.layers(capture, wish.sign, tower=wish.tower, deviations=wish.deviations, multiple=wish.multiple)
    made = sinks_view.frames(capture, found, wish)
except ValueError as error:
    st.info(str(error), icon=":material/info:")
    st.stop()

left, right = st.columns([2, 1], gap="medium")
with left:
    at = sinks_view.show_film(picture, made, sinks.first_shown(found), wish, name)
layer = found[min(at, len(found) - 1)]
with left:
    sinks_view.away(picture, made[at], layer, model, wish)
with right, st.container(border=True):
    sinks_view.show_verdict(layer, found, model, wish)

left, right = st.columns(2, gap="medium")
with left, st.container(border=True):
    sinks_view.show_signs(capture, layer, wish)
with right, st.container(border=True):
    sinks_view.show_massive(capture, layer, wish)

left, right = st.columns(2, gap="medium")
with right, st.container(border=True):
    st.subheader("The same for every picture?", anchor=False)
    asked = sinks_whatifs.asked_of(model, layer, wish)
    over = sinks_view.part_of_scenes(name, weights, model, asked)
    if over is not None:
        sinks_whatifs.show_scenes(over, asked)
with left, st.container(border=True):
    st.subheader("What are they for?", anchor=False)
    if over is not None:
        sinks_whatifs.show_what_if(model, subject, capture, layer, asked, over, key)
        sinks_whatifs.show_over_scenes(model, subject, capture, asked, over, (name, weights))
notes.how_to_read(sinks.METHODS[wish.sign], "massive_activations", "sink_whatifs", "position_artefact")
