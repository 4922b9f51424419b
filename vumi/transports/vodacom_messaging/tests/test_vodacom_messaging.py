"""Vodacom Messaging's gateway. The cases are in ``cases/``."""

from __future__ import annotations

from typing import ClassVar
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from vumi.tests.cases import TransportCases
from vumi.transports.vodacom_messaging import VodacomMessagingResponse, VodacomMessagingTransport
from vumi.transports.vodacom_messaging.wire import NotBoth


class VodacomMessagingTests(TransportCases):
    transport_class = VodacomMessagingTransport
    config: ClassVar = {
        "web_path": "/ussd",
        "web_host": "vumi.example",
        "ussd_string_prefix": "*120*666",
    }


class PageTests(SynchronousTestCase):
    def page(self, web_host: str = "vumi.example") -> VodacomMessagingResponse:
        return VodacomMessagingResponse(web_host, "ussd")

    def test_options_are_numbered_and_shown(self) -> None:
        page = self.page()
        page.set_headertext("Pick one")
        page.add_option("Tea")
        page.add_option("None", order=9)
        self.assertEqual(
            str(page),
            "<request>\n"
            "\t<headertext>Pick one</headertext>\n"
            "\t<options>\n"
            '\t\t<option command="1" order="1" callback="http://vumi.example/ussd" '
            'display="True" >Tea</option>\n'
            '\t\t<option command="9" order="9" callback="http://vumi.example/ussd" '
            'display="True" >None</option>\n'
            "\t</options>\n"
            "</request>",
        )

    def test_options_and_free_text_exclude_each_other(self) -> None:
        page = self.page()
        page.add_option("Tea")
        with self.assertRaises(NotBoth):
            page.accept_freetext()
        page = self.page()
        page.accept_freetext()
        with self.assertRaises(NotBoth):
            page.add_option("Tea")

    def test_the_callback_is_reached_by_tls_if_the_host_says_so(self) -> None:
        self.assertEqual(
            self.page("https://v.example:8443").callback, "https://v.example:8443/ussd"
        )

    @given(st.text())
    def test_some_texts_broke_the_page(self, text: str) -> None:
        page = self.page()
        page.set_headertext(text)
        page.add_option(text)
        root = ElementTree.fromstring(str(page))  # noqa: S314 (our own text)
        self.assertEqual(root[0].text, root[1][0].text)
