"""The frame around every page: settings, navigation, the pickers of the sidebar, then the chosen page."""

from pathlib import Path

import streamlit as st

from ui import pickers, session, sign_in, state
from ui.frame_pages import SECTIONS, address
from ui.lessons import panel

_ROOT = Path(__file__).resolve().parents[1]


def _page(path: str, title: str, icon: str) -> st.Page:
    return st.Page(_ROOT / "pages" / f"{path}.py", title=title, icon=f":material/{icon}:", url_path=address(path))


st.set_page_config(page_title="Headlight", page_icon=str(_ROOT / "assets" / "icon.png"), layout="wide")
st.html(_ROOT / "ui" / "frame.css")
sign_in.required()
pages = {
    section: [_page(*each) for each in listed if (_ROOT / "pages" / f"{each[0]}.py").is_file()]
    for section, listed in SECTIONS.items()
}
page = st.navigation({section: listed for section, listed in pages.items() if listed}, position="top")
state.chosen()
session.note_sidebar(pickers.model_name(), pickers.weights())
pickers.sidebar(answers=page.url_path.startswith("words-"))
state.write_link()
panel.draw(page.url_path)
page.run()
session.painted()
session.catch_up()
