"""Sites made of paths, and parts of HTTP messages."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any

from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.iweb import IBodyProducer
from twisted.web.resource import Resource
from twisted.web.server import Request, Site
from twisted.web.test.requesthelper import DummyChannel, DummyRequest
from zope.interface.verify import verifyObject

from vumi.web.site import LogFilterSite, StringProducer, build_web_site, mkheaders

if TYPE_CHECKING:
    from twisted.web.resource import IResource


class Leaf(Resource):
    """A resource that answers for everything below itself."""

    isLeaf = True


def find(site: Site, path: str) -> IResource:
    """The resource that a request for a path gets."""
    resource: IResource = site.getResourceFor(
        DummyRequest([part.encode("utf-8") for part in path.split("/")])
    )
    return resource


class BuildWebSiteTests(SynchronousTestCase):
    """build_web_site()."""

    def test_resources_are_where_their_paths_say(self) -> None:
        resources: dict[str, IResource] = {
            path: Leaf() for path in ("health", "/api/v1/send/", "api/v1/receive", "a//b", "é")
        }
        site = build_web_site(resources)
        for path, resource in resources.items():
            parts = [part for part in path.split("/") if part]
            self.assertIs(find(site, "/".join(parts)), resource)
            self.assertIs(find(site, "/".join([*parts, "below"])), resource)

    def test_nothing_is_elsewhere(self) -> None:
        site = build_web_site({"a/b": Leaf()})
        for path in ("x", "b", "a/x"):
            request = DummyRequest([])
            find(site, path).render(request)
            self.assertEqual(request.responseCode, 404)

    def test_a_resource_may_be_below_one_that_is_no_leaf_in_any_order(self) -> None:
        for order in (1, -1):
            above, below = Resource(), Leaf()
            items = [("a", above), ("a/b", below)][::order]
            site = build_web_site(dict(items))
            self.assertIs(find(site, "a"), above)
            self.assertIs(find(site, "a/b"), below)

    def test_an_empty_path_is_the_front_page(self) -> None:
        for path in ("", "/"):
            page = Resource()
            site = build_web_site({path: page, "a": Leaf()})
            self.assertIs(find(site, ""), page)

    def test_what_could_never_be_reached_is_refused(self) -> None:
        for paths, words in [
            (("a", "a/b"), "nothing can be served at 'a/b'"),
            (("a/b/c", "a"), "nothing can be served at 'a/b/c'"),
            (("a/b", "/a//b/"), "two resources for the path"),
            (("", "/"), "two resources for the path"),
        ]:
            resources: dict[str, IResource] = {path: Leaf() for path in paths}
            with self.assertRaises(ValueError) as caught:
                build_web_site(resources)
            self.assertIn(words, str(caught.exception))

    def test_the_site_is_of_the_class_asked_for(self) -> None:
        class MySite(Site):
            """A program's own."""

        self.assertIs(type(build_web_site({})), LogFilterSite)
        self.assertIs(type(build_web_site({}, site_class=MySite)), MySite)


class LogFilterSiteTests(SynchronousTestCase):
    """LogFilterSite."""

    def logged(self, **attributes: Any) -> bytes:
        """What the access log says of a request with the attributes."""
        site = LogFilterSite(Resource(), logFormatter=lambda timestamp, request: "a line")
        access_log = BytesIO()
        site.logFile = access_log
        request = Request(DummyChannel(), False)
        for name, value in attributes.items():
            setattr(request, name, value)
        site.log(request)
        return access_log.getvalue()

    def test_requests_are_logged(self) -> None:
        self.assertEqual(self.logged(), b"a line\n")
        self.assertEqual(self.logged(do_not_log=False), b"a line\n")

    def test_requests_that_ask_not_to_be_logged_are_not(self) -> None:
        self.assertEqual(self.logged(do_not_log=True), b"")


class PartsTests(SynchronousTestCase):
    """StringProducer and mkheaders()."""

    def test_a_string_producer_writes_its_body_and_is_done(self) -> None:
        cases: list[tuple[bytes | str, bytes]] = [
            (b"bytes", b"bytes"),
            ("t\xe9xt", b"t\xc3\xa9xt"),
            (b"", b""),
        ]
        for body, expected in cases:
            producer = StringProducer(body)
            verifyObject(IBodyProducer, producer)
            consumer = StringTransport()
            self.assertEqual(producer.length, len(expected))
            self.assertIsNone(self.successResultOf(producer.startProducing(consumer)))
            self.assertEqual(consumer.value(), expected)
            producer.pauseProducing()
            producer.resumeProducing()
            producer.stopProducing()

    def test_headers_have_one_value_or_many(self) -> None:
        headers = mkheaders({"X-One": "1", "X-Two": ["1", "2"], "x-none": []})
        self.assertEqual(
            dict(headers.getAllRawHeaders()),
            {b"X-One": [b"1"], b"X-Two": [b"1", b"2"], b"X-None": []},
        )
        self.assertEqual(list(mkheaders({}).getAllRawHeaders()), [])
