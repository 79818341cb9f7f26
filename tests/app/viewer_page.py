"""The page of the viewer's tests: `?view=` says which view; `asked` lets the page choose the layer, `follow` repeat it."""

import streamlit as st

from tests.app.made_views import MAPS, VIEWS
from ui.viewer import map_view, viewer

st.set_page_config(page_title="Viewer", layout="wide")


@st.cache_resource
def view(name: str):
    return VIEWS[name]()


@st.cache_resource
def maps():
    return MAPS()


name = st.query_params.get("view", "start")
if name == "maps":
    for number, (column, (image, shown)) in enumerate(zip(st.columns(4), maps(), strict=True)):
        with column:
            map_view(image, shown, key=f"map {number}", height=420)
else:
    asked = st.number_input("Layer", 0, 11, 0) if "asked" in st.query_params else st.session_state.get("followed")
    state = viewer(view(name), key="viewer", layer=asked, height=int(st.query_params.get("height", 680)))
    if "follow" in st.query_params:
        st.session_state["followed"] = state.layer
    st.text(f"state {state.layer} {state.head} {state.pins} {state.fuse} {state.mode} {state.sort or '-'}")
    st.button("Run again")
