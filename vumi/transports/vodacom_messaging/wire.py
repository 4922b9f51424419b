"""What Vodacom Messaging is answered: a page of XML. Pure: texts in, a text out.

The gateway is known to be picky, so tabs and line breaks are as they always were.
"""

from __future__ import annotations

from urllib.parse import urlsplit
from xml.sax.saxutils import escape, quoteattr

from vumi.errors import VumiError
from vumi.web.xml import xml_text

__all__ = ["NotBoth", "VodacomMessagingResponse"]


class NotBoth(VumiError):
    """A page either has options or asks for free text."""


class VodacomMessagingResponse:
    """A page: a text, and how the user may answer it; without that the session ends.

    :param web_host: The host, and the port if need be, that the gateway reaches us at. One with
        ``https://`` is reached so.
    :param web_path: The path for the next request.
    """

    def __init__(self, web_host: str, web_path: str) -> None:
        host = web_host if urlsplit(web_host).netloc else f"http://{web_host}"
        self.callback = f"{host.rstrip('/')}/{web_path.lstrip('/')}"
        self.headertext = ""
        #: The numbers and texts of what the user may choose
        self.option_list: list[tuple[int, str]] = []
        self.freetext = False

    def set_headertext(self, headertext: str) -> None:
        """Set the text."""
        self.headertext = headertext

    def add_option(self, text: str, order: int | None = None) -> None:
        """Add something that the user may choose.

        :param order: Its number; the next one if left out.
        :raises NotBoth: The page asks for free text.
        """
        if self.freetext:
            raise NotBoth("The page asks for free text: it can't have options.")
        self.option_list.append((len(self.option_list) + 1 if order is None else order, text))

    def accept_freetext(self) -> None:
        """Let the user answer what they want.

        :raises NotBoth: The page has options.
        """
        if self.option_list:
            raise NotBoth("The page has options: it can't ask for free text.")
        self.freetext = True

    def __str__(self) -> str:
        options = [self._option(order, "True", text) for order, text in self.option_list]
        if self.freetext:
            options = [self._option(1, "False", "")]
        block = ["\t<options>", *options, "\t</options>"] if options else []
        header = f"\t<headertext>{_clean(self.headertext)}</headertext>"
        return "\n".join(["<request>", header, *block, "</request>"])

    def _option(self, order: int, display: str, text: str) -> str:
        return (
            f'\t\t<option command="{order}" order="{order}" callback={quoteattr(self.callback)} '
            f'display="{display}" >{_clean(text)}</option>'
        )


def _clean(text: str) -> str:
    """A text as XML has it; without the characters that no XML 1.0 may have, in any form."""
    return escape(xml_text(text))
