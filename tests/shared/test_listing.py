"""What a list's cursor may be."""

from __future__ import annotations

import base64

import pytest

from ironworks.shared.errors import Invalid
from ironworks.shared.listing import decode_cursor, encode_cursor


def test_a_cursor_comes_back_as_it_was() -> None:
    assert decode_cursor(encode_cursor("acme.shop", "näme")) == ("acme.shop", "näme")


@pytest.mark.parametrize(
    "text", ["[]", '["a"]', '["a", 1]', '{"a": 1}', '["a", "\\u0000"]', '["\\ud800", "a"]', '["a", "\\udc00"]', "["]
)
def test_what_is_no_cursor_of_ours_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        decode_cursor(base64.urlsafe_b64encode(text.encode()).decode())
