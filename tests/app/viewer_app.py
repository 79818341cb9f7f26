"""A small app around the viewer, for its tests and its measurements: `streamlit run tests/app/viewer_app.py`."""

import streamlit as st

from ui.tensors import ROUTES

app = st.App("viewer_page.py", routes=ROUTES)
