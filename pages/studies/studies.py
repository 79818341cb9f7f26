"""Studies: does it hold over many images? Set up, started, watched, opened, and followed down to a single picture."""

import streamlit as st

from ui import controls, page, studies_new, studies_open
from ui.results import studying

page.header("Studies", "Does it hold over many images?", about=())
known = studying.known()
with st.container(horizontal=True, vertical_alignment="bottom"):
    what = controls.pick("studies", "Study", ("open", "new"), format=lambda each: {"open": "Open", "new": "New"}[each])
    if what == "open" and known:
        with st.container(width=420):
            name = controls.pick("study", "Which", list(known), format=lambda url: known[url].name, listed=True)
if what == "new":
    studies_new.form()
elif not known:
    st.info(f"No study lies in {studying.folder()} yet. Choose New to begin one.", icon=":material/dataset:")
else:
    studies_open.show(known[name])
