from __future__ import annotations

import io
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.output.secrets import MASK, mask, mask_logs, masked

WORD = st.text(alphabet=st.characters(exclude_categories=("Cc", "Cs", "Z"), exclude_characters="\"'<>"), min_size=4)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://me:word@host:5432/db", "postgresql://***@host:5432/db"),
        ("http://tok3n@host/api failed", "http://***@host/api failed"),
        ("mysql+pymysql://a:p@ss/w#rd?@host/db", "mysql+pymysql://***@host/db"),
        ("https://h/f?a=1&X-Amz-Signature=12ab&b=2", "https://h/f?a=1&X-Amz-Signature=***&b=2"),
        ("https://h/f?sig=a%2Fb;api_key=c#access_token=d", "https://h/f?sig=***;api_key=***#access_token=***"),
        ("connect: host=h password=geheim dbname=x", "connect: host=h password=*** dbname=x"),
        ("the store 'http://u:p@h/x' and http://v:q@i", "the store 'http://***@h/x' and http://***@i"),
        ("images/http:/me:word@host/x.png", "images/http:/***@host/x.png"),  # as a Path writes it
        ("token hf_abcdefghijklmnopqrstuv of the hub", "token *** of the hub"),
    ],
)
def test_a_credential_is_masked_and_the_rest_stays(text: str, shown: str) -> None:
    assert mask(text) == shown
    assert mask(shown) == shown


@pytest.mark.parametrize(
    "text",
    [
        *("sqlite:///mlflow.db", "http://127.0.0.1:5000/#/experiments", "file:///a/b", "https://doi.org/10.1109/x?a=1"),
        *("the ship at (3, 4): 12:30", "mail me@example.org", "P@0.5", "what is left? key points"),
    ],
)
def test_what_holds_no_credential_stays(text: str) -> None:
    assert mask(text) == text


@given(WORD, WORD)
def test_no_password_in_an_address_is_left(user: str, word: str) -> None:
    user = user.replace("/", "_").replace(":", "_").replace("?", "_").replace("#", "_").replace("@", "_")
    secret = f"Zq{word}qZ"
    assert "Zq" not in mask(f"cannot reach postgresql://{user}:{secret}@host/db at all")


def test_plain_data_is_masked_at_any_depth() -> None:
    data = {"a": ["http://u:p@h", 3, None, {"b": "x?token=1"}], "n": 1.5, "yes": True}
    assert masked(data) == {"a": [f"http://{MASK}@h", 3, None, {"b": f"x?token={MASK}"}], "n": 1.5, "yes": True}


def test_what_others_log_is_masked() -> None:
    stream, logger = io.StringIO(), logging.getLogger("tests.masked")
    logger.addHandler(handler := logging.StreamHandler(stream))
    try:
        mask_logs("tests.masked")
        mask_logs("tests.masked")
        logger.warning("no answer of %s", "http://u:geheim@h")
    finally:
        logger.removeHandler(handler)
    assert stream.getvalue() == "no answer of http://***@h\n"
    assert len(handler.filters) == 1
