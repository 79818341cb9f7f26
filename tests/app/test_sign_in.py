"""Nothing of the app is shown to a stranger where the secrets name a provider, and no sign-in is asked for without one."""

from __future__ import annotations

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

AUTH = {"redirect_uri": "https://x/oauth2callback", "cookie_secret": "s", "client_id": "c", "client_secret": "d"}


def page() -> None:
    import streamlit as st

    from ui import sign_in

    sign_in.required()
    st.write("inside")


def shown(secrets: dict) -> tuple[list[str], list[str]]:
    app = AppTest.from_function(page)
    for name, value in secrets.items():
        app.secrets[name] = value
    app.run()
    assert not app.exception
    return [each.value for each in app.markdown], [each.label for each in app.button]


@pytest.mark.parametrize("secrets", [{}, {"other": 1}])
def test_without_a_provider_everybody_is_let_in(secrets):
    assert shown(secrets) == (["inside"], [])


def test_a_stranger_sees_the_sign_in_alone():
    assert shown({"auth": AUTH}) == ([], ["Sign in"])


def test_who_signed_in_is_let_in(monkeypatch):
    monkeypatch.setattr(st, "user", {"is_logged_in": True})
    assert shown({"auth": AUTH}) == (["inside"], [])
