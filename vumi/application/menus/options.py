"""The options of applications made of menus."""

from __future__ import annotations

from vumi.application.base import ApplicationConfig
from vumi.config import ConfigInt
from vumi.persist.config import ConfigRedis

__all__ = ["MenuConfig"]

#: A USSD message has up to 182 characters; some networks take 160.
DEFAULT_PAGE_LENGTH = 160
DEFAULT_SESSION_LENGTH = 24 * 60 * 60


class MenuConfig(ApplicationConfig):
    """Options of every application made of menus."""

    page_length = ConfigInt(
        "How many characters of the GSM alphabet a message may have. What is longer is cut into "
        "pages, and the user turns them. USSD takes 182, on some networks 160; of other alphabets "
        "80 and 70 then have room. 0 is any number.",
        default=DEFAULT_PAGE_LENGTH,
        static=True,
        lowest=0,
    )
    max_session_length = ConfigInt(
        "How long a user may take for an answer and still go on from there, in seconds. 0 is for "
        "ever.",
        default=DEFAULT_SESSION_LENGTH,
        static=True,
        lowest=0,
    )
    redis_manager = ConfigRedis(
        "The key-value store where it is kept how far each user is.", default={}, static=True
    )
