"""Messages arrive whole, whatever the pieces are, and anything else is refused within bounds."""

import pytest

from pannsdist.runtime.messages import BadMessage, Inbox, packed

MESSAGES = [{"type": "beat", "text": "line\nline, ü"}, [1, 2.5], "", 0, False]


@pytest.mark.parametrize("piece", [1, 3, 1000])
def test_messages_arrive_whole_in_pieces_of_any_size(piece):
    inbox, found = Inbox(100), []
    sent = b"".join(map(packed, MESSAGES))
    for start in range(0, len(sent), piece):
        inbox.add(sent[start : start + piece])
        while (message := inbox.next()) is not None:
            found.append(message)
    assert found == MESSAGES
    assert inbox.next() is None


@pytest.mark.parametrize(
    ("received", "said"),
    [
        (b"x" * 101, "a message of more than 100 bytes"),
        (b"1" * 101 + b"\n", "a message of more than 100 bytes"),
        (b"GET / HTTP/1.1\r\n", "a message is not JSON"),
        (b"\x80\x04\n", "a message is not JSON"),
        (b'{"a": 1, "a": 2}\n', "twice"),
        (b"[" * 90 + b"\n", "a message of"),
        (b"\n", "a message is not JSON"),
        (b"null\n", "a message without content"),
    ],
)
def test_what_is_no_message_is_refused(received, said):
    inbox = Inbox(100)
    inbox.add(received)
    with pytest.raises(BadMessage, match=said):
        inbox.next()


def test_a_message_of_the_largest_size_is_taken():
    inbox = Inbox(12)
    inbox.add(packed("0123456789") + b"1234567890123")
    assert inbox.next() == "0123456789"
    with pytest.raises(BadMessage, match="more than 12 bytes"):
        inbox.next()
