"""What every page begins with: its title, its question, and what is chosen."""

from __future__ import annotations

import streamlit as st

from ui import pickers, pictures
from ui.state import chosen


def header(title: str, question: str, *, about: tuple[str, ...] = ("model", "picture", "head")) -> None:
    """Title, question and breadcrumb."""
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        st.title(title, anchor=False, width="content")
        st.markdown(f":gray[{question}]", width="stretch")
    st.caption(" · ".join(_crumbs(about)))


def _crumbs(about: tuple[str, ...]) -> list[str]:
    crumbs = []
    if "model" in about:
        crumbs.append(f"`{pickers.model_name()}`")
    if "picture" in about:
        crumbs.append(pictures.title(st.session_state.get("image") or "scene:3"))
    if "class" in about and pickers.target_name() != pickers.AUTO:
        crumbs.append(f"“{pickers.target_name()}”")
    if "head" in about:
        now = chosen()
        crumbs.append(f"layer {'last' if now.layer < 0 else now.layer} · head {now.head}")
    return crumbs
