"""Keep / Sessions: what was captured, kept in a file that opens without the model."""

import streamlit as st

from ui import opened, opened_parts, page, session_saving

page.header("Sessions", "How do I keep this, and open it elsewhere?", about=())
left, right = st.columns([1, 1], gap="large")
with left:
    files = st.file_uploader(
        "Open a session file: drag it here", type="zip", accept_multiple_files=True, key="session-files", max_upload_size=64
    )
    newest = opened.take(files)
with right:
    st.markdown("Save what is open")
    session_saving.panel()
if newest is not None:
    opened_parts.choose_new(newest)
id, session, part = opened_parts.choose()
opened_parts.show(id, session, part)
with st.expander("How to read this", icon=":material/help:"):
    st.markdown(opened_parts.NOTE)
