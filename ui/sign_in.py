"""Who may see the app: everybody, or, where the server's secrets name a provider of identities, whoever signed in there."""

from __future__ import annotations

import streamlit as st


def required() -> None:
    """Stop here before anything of the app is shown, until the visitor has signed in; without [auth] in the secrets, go on."""
    if not st.secrets.load_if_toml_exists() or "auth" not in st.secrets or st.user.get("is_logged_in"):
        return
    st.title("Headlight")
    st.button("Sign in", type="primary", icon=":material/login:", on_click=st.login)
    st.stop()
