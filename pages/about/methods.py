"""About / Methods: what every method says, what it needs, and where it misleads; written by the registry."""

import streamlit as st

from ui import method_list, page, session

page.header("Methods", "What can be asked of a model, and how far is each answer to be believed?", about=("model",))
with st.container(horizontal=True, vertical_alignment="bottom"):
    words = st.text_input("Search", key="methods", bind="query-params", placeholder="rollout, sink, gradient, abnar ...")
listed = session.get(("methods",), method_list.rows, label="Reading the list of methods")
found = method_list.matching(listed, words)
if not found:
    st.info(f"No method speaks of {words!r}. There are {len(listed)}; a shorter word finds more.")
for number, kind in enumerate(method_list.kinds(found)):
    method_list.show_kind(kind, [row for row in found if row.kind == kind], unfolded=bool(words) or number == 0)
