"""The frame around every page: settings, navigation, the pickers of the sidebar, then the chosen page."""

from pathlib import Path

import streamlit as st

from ui import pickers, session, state

_ROOT = Path(__file__).resolve().parents[1]


def _page(path: str, title: str, icon: str, *, default: bool = False) -> st.Page:
    return st.Page(
        _ROOT / "pages" / f"{path}.py", title=title, icon=f":material/{icon}:", default=default, url_path=path.replace("/", "-")
    )


st.set_page_config(page_title="Headlight", page_icon=str(_ROOT / "assets" / "icon.png"), layout="wide")
# Streamlit leaves six lines of nothing above a page.
st.html("<style>[data-testid=stMainBlockContainer]{padding:2.2rem 2.5rem 3rem}</style>")
page = st.navigation(
    {
        "About": [
            _page("about/models", "Models", "deployed_code", default=True),
        ],
    }
)
if (wanted := st.session_state.pop("wanted_image", None)) is not None:
    st.session_state["image"] = wanted
state.chosen()
pickers.sidebar()
state.write_link()
page.run()
session.painted()
