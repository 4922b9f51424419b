"""Conversations made of menus and questions, for USSD and SMS.

An application derives from :class:`MenuApplication` and lists its states: plain Python objects,
:class:`Question`, :class:`Menu` and :class:`End`. The rest (numbering, checking answers, texts too
long for one message, remembering where each user is) is done here.

Only re-exports: states are in :mod:`~vumi.application.menus.states`, pages in
:mod:`~vumi.application.menus.pages`, what is remembered in
:mod:`~vumi.application.menus.progress`, the worker in :mod:`~vumi.application.menus.application`.
"""

from vumi.application.menus.application import MenuApplication
from vumi.application.menus.options import MenuConfig
from vumi.application.menus.states import (
    Choice,
    Conversation,
    End,
    Invalid,
    Menu,
    MenuError,
    Question,
)

__all__ = [
    "Choice",
    "Conversation",
    "End",
    "Invalid",
    "Menu",
    "MenuApplication",
    "MenuConfig",
    "MenuError",
    "Question",
]
