"""The door: the server with the app's frame, its routes for arrays, and what is loaded while it starts."""

import streamlit as st

from ui import faults, index_html, session, tensors

app = st.App(
    "ui/frame.py",
    lifespan=session.lifespan,
    routes=[*index_html.ROUTES, *tensors.ROUTES],
    on_script_error=faults.on_script_error,
)
