from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from vumi.application.sandbox import children
from vumi.application.sandbox.children import ChildProcess
from vumi.application.sandbox.tests.helpers import FakeReactor, ListeningEar


class TestChildProcess(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor = FakeReactor()
        self.story: list[str] = []
        self.child = ChildProcess(
            self.reactor,
            lambda child: self.story.append("ready"),
            lambda child, reason: self.story.append("end"),
        )
        self.reactor.spawnProcess(self.child, "", [], {})
        self.ear = ListeningEar()

    def test_it_is_ready_with_its_first_word(self) -> None:
        self.assertEqual(self.story, [])
        self.reactor.says(0, b"hello")
        self.reactor.says(0, b"again\n")
        self.assertEqual(self.story, ["ready"])

    def test_one_that_says_nothing_is_ready_after_a_while(self) -> None:
        self.reactor.advance(children.READY_PATIENCE)
        self.assertEqual(self.story, ["ready"])

    def test_lines_are_whole_however_they_come(self) -> None:
        self.child.attach(self.ear, 1000)
        for data in (b"on", b"e\ntw", b"o\n\nthree\nthe rest"):
            self.reactor.says(0, data)
        self.assertEqual(self.ear.heard, [b"one", b"two", b"", b"three"])
        self.reactor.ends(0)
        self.assertEqual(self.ear.heard[4:], [b"the rest", "ProcessDone"])

    def test_what_it_said_before_its_message_is_heard_then(self) -> None:
        self.reactor.says(0, b"starting\nhal")
        self.child.attach(self.ear, 1000)
        self.reactor.says(0, b"f\n")
        self.assertEqual(self.ear.heard, [b"starting", b"half"])

    def test_output_and_errors_together_have_a_limit(self) -> None:
        self.child.attach(self.ear, 10)
        self.reactor.says(0, b"four\n")
        self.child.errReceived(b"five5")
        self.assertEqual(self.ear.heard, [b"four"])
        self.reactor.says(0, b"x\nunheard\n")
        self.assertEqual(self.ear.heard, [b"four", "too much"])
        self.assertTrue(self.reactor.is_killed(0))
        self.reactor.says(0, b"more\n")
        self.assertEqual(self.ear.heard, [b"four", "too much"])

    def test_one_that_talks_before_its_message_is_ended(self) -> None:
        self.reactor.says(0, b"x" * (children.EARLY_LIMIT + 1))
        self.assertTrue(self.reactor.is_killed(0))

    def test_one_that_talks_between_two_messages_is_ended_and_not_heard(self) -> None:
        self.child.served = 1
        self.child.attach(self.ear, 1000)
        self.child.detach()
        self.reactor.says(0, b"for whoever comes next\n")
        self.assertTrue(self.reactor.is_killed(0))
        self.child.attach(self.ear, 1000)
        self.assertEqual(self.ear.heard, [])

    def test_of_one_that_is_ended_for_a_line_the_following_ones_are_not_heard(self) -> None:
        heard: list[bytes] = []

        def hear(line: bytes) -> None:
            heard.append(line)
            self.child.kill()

        self.ear.line_received = hear  # type: ignore[method-assign] # a double
        self.child.attach(self.ear, 1000)
        self.reactor.says(0, b"false word\nreply\n")
        self.assertEqual(heard, [b"false word"])

    def test_any_sign_between_two_messages_ends_it(self) -> None:
        for stream, sign in (("out", b"\n"), ("out", b"x"), ("err", b" ")):
            self.setUp()
            self.child.served = 1
            self.child.attach(self.ear, 1000)
            self.child.detach()
            getattr(self.child, f"{stream}Received")(sign)
            self.assertTrue(self.reactor.is_killed(0), (stream, sign))

    def test_what_follows_the_last_word_in_the_same_data_is_a_sign_too(self) -> None:
        for more, quiet in ((b"", True), (b"\n", False), (b"{", False), (b"one\ntwo\n", False)):
            self.setUp()
            seen: list[bool] = []
            self.ear.line_received = lambda line: seen.append(self.child.quiet)  # type: ignore[method-assign] # noqa: B023 (called in this turn)
            self.child.served = 1
            self.child.attach(self.ear, 1000)
            self.reactor.says(0, b"done\n" + more)
            self.assertIs(seen[0], quiet, more)

    def test_one_that_does_not_read_is_ended(self) -> None:
        self.child.attach(self.ear, 1000)
        self.child.pauseProducing()
        self.child.write(b"x" * children.UNREAD_LIMIT)
        self.assertFalse(self.reactor.is_killed(0))
        self.child.write(b"x")
        self.assertEqual(self.ear.heard, ["does not read"])
        self.assertTrue(self.reactor.is_killed(0))

    def test_one_that_reads_again_is_not(self) -> None:
        self.child.pauseProducing()
        self.child.write(b"x" * children.UNREAD_LIMIT)
        self.child.resumeProducing()
        self.child.write(b"x")
        self.assertFalse(self.reactor.is_killed(0))

    def test_last_words_are_kept_up_to_a_point_and_told_once(self) -> None:
        self.child.attach(self.ear, 10_000_000)
        self.child.errReceived(b"first\n")
        self.child.errReceived(b"second \xff\n")
        self.assertEqual(self.child.take_stderr(), "first\nsecond \ufffd")
        self.assertEqual(self.child.take_stderr(), "")
        self.child.errReceived(b"x" * (children.STDERR_LIMIT + 5))
        self.assertTrue(self.child.take_stderr().endswith("x\n... [5 bytes cut]"))

    def test_nothing_is_left_waiting_when_it_has_ended(self) -> None:
        self.child.kill()
        self.reactor.ends(0)
        self.child.kill()
        self.child.write(b"too late")
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.assertEqual(self.story, ["end"])
