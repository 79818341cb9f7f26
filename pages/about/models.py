"""About / Models: what the chosen model is, what its check found, and where its tokens lie."""

import streamlit as st

from ui import cards, model_tokens, page, pickers, session

page.header("Models", "What is this model, and can what is shown of it be believed?", about=("model", "picture"))
name, weights, picture = pickers.model_name(), pickers.weights(), pickers.picture()
left, right = st.columns(2, gap="medium")
with left:
    model = session.model(name, weights)
    cards.show_report(model.report)
    cards.show_card(model.card)
with right, st.container(border=True):
    st.subheader("Where its tokens lie", anchor=False)
    st.caption("Measured by following pixels through the model. Each box belongs to the token of that number.")
    model_tokens.show(model, name, weights, picture)
