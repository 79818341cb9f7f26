"""Keep / Report: pictures with captions and notes, as one file that can be sent to anybody."""

import streamlit as st

from ui import page, report_page

page.header("Report", "How do I show this to somebody else?", about=())
report_page.head()
report_page.listed()
report_page.addable()
with st.expander("How to read this", icon=":material/help:"):
    st.markdown(report_page.NOTE)
