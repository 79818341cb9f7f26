"""A small app around the viewer, for its tests and its measurements: `streamlit run tests/app/viewer_app.py`."""

from pathlib import Path

import streamlit as st
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from ui.tensors import ROUTES

# The app's font lies beside its own script; this script has no such folder.
FONTS = Mount("/app/static", StaticFiles(directory=Path(__file__).resolve().parents[2] / "ui" / "static"))

app = st.App("viewer_page.py", routes=[*ROUTES, FONTS])
