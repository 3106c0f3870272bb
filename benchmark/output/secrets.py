"""Credentials in addresses: masked wherever a text is printed, logged or stored.

    postgresql://me:word@host/db            -> postgresql://***@host/db
    https://host/file?X-Amz-Signature=12ab  -> https://host/file?X-Amz-Signature=***

What a password may be is not known, so a mask rather takes a character too many than one too few.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import Any

MASK = "***"
_SCHEME = r"(?P<scheme>\b[A-Za-z][A-Za-z0-9+.-]*:/{1,2})"  # a Path has one slash
_SPACE = r"\s\"'<>"  # ends an address in a text
# user:password@, whatever the password holds; then user@ or token@, up to the first sign that ends a host
_USER_PASSWORD = re.compile(rf"{_SCHEME}[^{_SPACE}:/?#@]*:[^{_SPACE}]*@")
_USER = re.compile(rf"{_SCHEME}[^{_SPACE}/?#]+@")
_KEYS = "token|password|passwd|passphrase|pwd|secret|key|signature|sig|credential|auth|session|jwt|code"
_QUERY = re.compile(rf"(?i)(?P<name>[?&;#][\w.%-]*(?:{_KEYS})[\w.%-]*=)[^\s&;#\"'<>]+")
_WORD = re.compile(r"(?i)(?P<name>\b(?:password|passwd|pwd)\s*=\s*)[^\s&;#\"'<>]+")  # of a database driver's own string
_TOKEN = re.compile(r"\bhf_[A-Za-z0-9]{16,}\b")  # the hub's, whose form says what they are


def mask(text: str) -> str:
    """A text with every credential in it replaced by MASK; everything else stays as it is."""
    for pattern in (_USER_PASSWORD, _USER):
        text = pattern.sub(rf"\g<scheme>{MASK}@", text)
    for pattern in (_QUERY, _WORD):
        text = pattern.sub(rf"\g<name>{MASK}", text)
    return _TOKEN.sub(MASK, text)


def masked(value: Any) -> Any:
    """Plain data (mappings, lists, texts, numbers) with mask() of every text in it, keys too."""
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, Mapping):
        return {masked(key): masked(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [masked(part) for part in value]
    return value


class MaskFilter(logging.Filter):
    """Masks what others log, an address they were given among it."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = mask(record.getMessage()), ()
        return True


def mask_logs(*loggers: str) -> None:
    """From now on, what these loggers' handlers write is masked, and what a logger without any handler writes."""
    handlers = [handler for name in ("", *loggers) for handler in logging.getLogger(name).handlers]
    if logging.lastResort is not None:
        handlers.append(logging.lastResort)
    for handler in handlers:
        if not any(isinstance(one, MaskFilter) for one in handler.filters):
            handler.addFilter(MaskFilter())
