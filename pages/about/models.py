"""The start page: a small model that needs no download, what it is, and what its check found."""

import streamlit as st

from ui import cards, session

st.title("Headlight", anchor=False)
st.write(
    "What every attention head of a vision transformer or a vision-language model does, what happens when you change it, "
    "and how far the picture can be believed. The model runs as it is, and every model is checked when it is loaded."
)

name, weights = session.start_model()
left, right = st.columns(2, gap="medium")
with left:
    model = session.model(name, weights)
    cards.show_report(model.report)
    cards.show_card(model.card)
with right, st.container(border=True):
    st.subheader("Where its tokens lie", anchor=False)
    st.caption("Measured by following pixels through the model. Each box belongs to the token of that number.")
    st.image(session.inspection(name, weights), width="stretch")
