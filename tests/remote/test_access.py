from __future__ import annotations

import pytest

from warmgap.errors import UserError
from warmgap.remote.access import Access, access
from warmgap.remote.waiting import is_refusal

HERE = Access("sk-1234567890", "https://host.example:8443/v1")


def test_a_text_is_shown_without_key_and_address():
    text = "no sk-1234567890 at\nhttps://host.example:8443/v1/chat or host.example:8443 (host.example)"
    assert HERE.hidden(text) == "no *** at ***/chat or *** (***)"
    assert "sk-1" not in repr(HERE)
    assert "host" not in repr(HERE)
    assert len(HERE.hidden("x" * 9999)) == 600


def test_key_and_address_are_those_of_the_variables_named(monkeypatch):
    monkeypatch.setenv("MY_KEY", " sk-1234567890 ")
    monkeypatch.setenv("MY_URL", "http://here/v1")
    assert (access("MY_KEY", "MY_URL").key, access("MY_KEY", "MY_URL").url) == (
        "sk-1234567890",
        "http://here/v1",
    )
    monkeypatch.delenv("MY_URL")
    assert access("MY_KEY", "MY_URL").url == "https://api.openai.com/v1"
    for url in ("here/v1", "ftp://here", "http://here:port/v1", "http:///v1"):
        monkeypatch.setenv("MY_URL", url)
        with pytest.raises(UserError, match="MY_URL in the environment holds no address") as refused:
            access("MY_KEY", "MY_URL")
        assert "here" not in str(refused.value)
    monkeypatch.setenv("MY_KEY", " ")
    with pytest.raises(UserError, match="MY_KEY is not set in the environment"):
        access("MY_KEY", "MY_URL")


@pytest.mark.parametrize(
    ("status", "code", "refused"),
    [
        (None, None, False),
        (400, None, True),
        (401, "invalid_api_key", True),
        (404, "model_not_found", True),
        (408, None, False),
        (409, None, False),
        (429, "rate_limit_exceeded", False),
        (429, "insufficient_quota", True),
        (500, None, False),
        (503, None, False),
    ],
)
def test_which_failures_are_final(status, code, refused):
    assert is_refusal(status, code) == refused
