"""The door: page settings, navigation, and the chosen page."""

import streamlit as st

st.set_page_config(page_title="Headlight", page_icon="assets/icon.png", layout="wide")

page = st.navigation(
    {
        "About": [
            st.Page("pages/about/models.py", title="Models", icon=":material/deployed_code:", default=True),
        ]
    }
)
page.run()
