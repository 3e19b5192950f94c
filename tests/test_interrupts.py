"""An interrupt that comes at a bad moment waits."""

import signal
import sys

import pytest
from records import python

from tinyllm_magic.interrupts import hold_interrupts


def test_an_interrupt_waits_until_the_block_is_through_and_the_handler_is_as_before():
    before, done = signal.getsignal(signal.SIGINT), []

    def interrupted():
        with hold_interrupts():
            signal.raise_signal(signal.SIGINT)
            done.append("the rest")

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert (done, signal.getsignal(signal.SIGINT)) == (["the rest"], before)


@pytest.mark.skipif(sys.platform == "win32", reason="needs a timer that sends signals")
def test_a_process_that_is_interrupted_in_its_first_record_goes_on():
    said = python("""
        import signal
        from tinyllm_magic.messages import Message, Request
        from tinyllm_magic.recording.codec import decode, encode
        from tinyllm_magic.responses import Answer, Record
        request = Request("openai", "m", (Message("user", "Hello"),))
        line = encode(Record(request.key, request.canonical(), Answer(text="Hi", finish_reason="stop")))
        came, armed = 0, False  # an alarm that is late comes outside of what is tried
        signal.signal(signal.SIGALRM, lambda *_: armed and signal.raise_signal(signal.SIGINT))
        for microseconds in range(200, 60_000, 200):
            signal.setitimer(signal.ITIMER_REAL, microseconds / 1e6)
            try:
                armed = True
                decode(line)
                armed = False
            except KeyboardInterrupt:
                came, armed = came + 1, False
        signal.setitimer(signal.ITIMER_REAL, 0)
        print(came > 0, decode(line).answer.text)
    """)
    assert said == "True Hi\n"
