"""Webhooks by their parts: where one may go, how it is signed, and what is made of any answer, or none."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import wait
from contextlib import closing, contextmanager
from datetime import timedelta

import pytest
from openai import InvalidWebhookSignatureError, OpenAI
from pydantic import TypeAdapter, ValidationError

from service.domain.webhook_address import WebhookUrl, allow_url, is_public
from service.domain.webhook_signature import new_secret, sign
from service.errors import RequestError
from service.webhooks.deliverer import Patience
from service.webhooks.sender import Answer, Message, Sender, answer_of

URL = TypeAdapter(WebhookUrl)


@pytest.mark.parametrize(
    "url",
    ["https://example.com/hooks?a=b", "http://localhost:8080", "https://xn--e1afmkfd.xn--p1ai/", "https://[2606:4700::1]:8443/"],
)
def test_urls(url: str) -> None:
    assert URL.validate_python(url) == url


@pytest.mark.parametrize(
    "url",
    [
        *("", "example.com", "//example.com", "ftp://example.com", "file:///etc/passwd", "https://", "https:///path"),
        *("https://user@example.com", "https://user:word@example.com", "https://example.com\\@10.0.0.1"),
        *("https://example.com/#part", "https://example.com:0/", "https://example.com:99999/", "https://[::1/", "https://a..b/"),
        *("https://exämple.com", "https://example.com/a b", "https://example.com/\r\nHost: x", "https://example.com/\0"),
        *("https://example.com/" + "a" * 2000, "https://" + "a" * 64 + ".com"),
    ],
)
def test_what_is_no_url_of_a_webhook(url: str) -> None:
    with pytest.raises(ValidationError) as refused:
        URL.validate_python(url)
    assert refused.value.errors()[0]["type"] == "invalid_webhook_url"


@pytest.mark.parametrize(
    "url", ["http://example.com", "https://127.0.0.1", "https://[::1]/", "https://169.254.169.254/", "https://[::ffff:10.0.0.1]/"]
)
def test_what_only_a_closed_network_takes(url: str) -> None:
    allow_url(url, private=True)
    with pytest.raises(RequestError) as refused:
        allow_url(url, private=False)
    assert (refused.value.code, refused.value.param) == ("invalid_webhook_url", "webhook_url")
    allow_url("https://example.com", private=False)
    allow_url(None, private=False)


@pytest.mark.parametrize(
    ("address", "public"),
    [
        *((public, True) for public in ("8.8.8.8", "2606:4700::1", "::ffff:8.8.8.8", "64:ff9b::808:808")),
        *((private, False) for private in ("10.0.0.1", "172.16.0.1", "192.168.1.1", "127.0.0.1", "169.254.169.254", "0.0.0.0")),
        *((private, False) for private in ("100.64.0.1", "224.0.0.1", "255.255.255.255", "::", "::1", "fc00::1", "fe80::1%eth0")),
        *((wrapped, False) for wrapped in ("::ffff:127.0.0.1", "64:ff9b::a00:1", "64:ff9b:1::1", "2002:7f00:1::", "ff02::1")),
    ],
)
def test_addresses(address: str, public: bool) -> None:
    assert is_public(address) is public


def test_openais_client_verifies_a_signature_and_no_other() -> None:
    secret, body, now = new_secret(), b'{"id": "evt_1"}', int(time.time())
    headers = {
        "webhook-id": "evt_1",
        "webhook-timestamp": str(now),
        "webhook-signature": sign(secret, event_id="evt_1", timestamp=now, body=body),
    }
    client = OpenAI(api_key="unused", webhook_secret=secret)
    client.webhooks.verify_signature(body, headers)
    for wrong in ({"webhook-id": "evt_2"}, {"webhook-timestamp": str(now + 1)}):
        with pytest.raises(InvalidWebhookSignatureError):
            client.webhooks.verify_signature(body, headers | wrong)
    with pytest.raises(InvalidWebhookSignatureError):
        client.webhooks.verify_signature(body + b" ", headers)
    with pytest.raises(InvalidWebhookSignatureError):
        client.webhooks.verify_signature(body, headers, secret=new_secret())


def test_the_signature_of_the_specifications_example() -> None:
    signature = sign(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        event_id="msg_p5jXN8AQM9LWM0D4loKWxJek",
        timestamp=1614265330,
        body=b'{"test": 2432232314}',
    )
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_pauses_grow_and_end() -> None:
    patience = Patience(attempts=3, first_pause_seconds=5)
    assert [patience.pause_after(attempt) for attempt in (1, 2, 3, 4)] == [
        timedelta(seconds=5),
        timedelta(seconds=20),
        None,
        None,
    ]


@contextmanager
def answering(*answer: bytes, pause: float = 0) -> Iterator[tuple[str, list[bytes]]]:
    """A socket that says these bytes to whoever has sent a message of `send`; its URL, and what it was sent.

    It hears the message to its end: a socket closed with something unread resets the connection.
    """
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    message = b""
                    while not message.endswith(b"\r\n\r\n{}") and (more := connection.recv(65536)):
                        message += more
                    heard.append(message)
                    try:
                        for part in answer:
                            connection.sendall(part)
                            time.sleep(pause)
                    except OSError:
                        continue

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/hook", heard
        server.shutdown(socket.SHUT_RDWR)


def send(url: str, *, private: bool = True, timeout_seconds: float = 5, cancelled: bool = False) -> Answer:
    with closing(Sender(timeout_seconds=timeout_seconds, private=private)) as sender:
        sent = sender.start(Message(url, {"content-type": "application/json", "webhook-id": "evt_1"}, b"{}"))
        if cancelled:
            sent.cancel()
        wait([sent])
        return answer_of(sent)


UNANSWERED = "no HTTP answer within 5 s: it is slow, cannot be reached, or has no public address"
NOT_PUBLIC = "its host resolves to an address that is not public"


def test_what_is_sent() -> None:
    with answering(b"HTTP/1.1 204 No Content\r\n\r\n") as (url, heard):
        assert send(url) == Answer()
    (request,) = heard
    assert request.startswith(b"POST /hook HTTP/1.1\r\n")
    assert b"webhook-id: evt_1\r\n" in request
    assert f"Host: {url.split('/')[2]}\r\n".encode().lower() in request.lower()


def test_a_redirect_is_not_followed() -> None:
    with answering(b"HTTP/1.1 200 OK\r\n\r\n") as (inner, asked):
        redirect = f"HTTP/1.1 307 Temporary Redirect\r\nLocation: {inner}\r\nContent-Length: 0\r\n\r\n".encode()
        with answering(redirect) as (url, _):
            assert send(url) == Answer("it answered 307")
    assert asked == []


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        (b"HTTP/1.1 500 Oh no\r\nContent-Length: 0\r\n\r\n", Answer("it answered 500")),
        (b"HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n", Answer("it answered 410", gone=True)),
        (b"SSH-2.0-OpenSSH\r\n\r\n", Answer(UNANSWERED)),
        (b"", Answer(UNANSWERED)),
        (b"HTTP/1.1 200 OK\r\nx: " + b"a" * 200_000, Answer(UNANSWERED)),
    ],
)
def test_other_answers(said: bytes, answer: Answer) -> None:
    with answering(said) as (url, _):
        assert send(url) == answer


def test_of_an_endless_answer_the_head_is_enough() -> None:
    with answering(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n", *[b"x" * 1000] * 100, pause=0.1) as (url, _):
        started = time.monotonic()
        assert send(url, timeout_seconds=8) == Answer()
        assert time.monotonic() - started < 8


def test_one_who_drips_is_cut_off() -> None:
    with answering(*[b"HTTP/1.1 200 OK\r\n", *[b"a: b\r\n"] * 100], pause=0.2) as (url, _):
        assert send(url, timeout_seconds=1) == Answer(UNANSWERED.replace("5 s", "1 s"))


def test_the_client_does_not_learn_which_names_and_ports_exist_and_the_log_does() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        open_url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        causes = {"timeout": send(open_url, timeout_seconds=1)}
        causes["not public"] = send(open_url.replace("127.0.0.1", "localhost"), private=False, timeout_seconds=1)
    causes["ConnectError"] = send(open_url, timeout_seconds=1)
    causes["gaierror"] = send("http://nowhere.invalid/", timeout_seconds=1)
    with answering(b"SSH-2.0-OpenSSH\r\n\r\n") as (url, _):
        causes["RemoteProtocolError"] = send(url, timeout_seconds=1)
    assert {answer.error for answer in causes.values()} == {UNANSWERED.replace("5 s", "1 s")}
    assert {cause for cause, answer in causes.items() if cause in answer.cause} == set(causes)


def test_a_private_address_is_not_called_however_it_is_written() -> None:
    with answering(b"HTTP/1.1 200 OK\r\n\r\n") as (url, heard):
        for host in ("localhost", "127.0.0.1", "127.1", "2130706433", "[::ffff:127.0.0.1]"):
            answer = send(url.replace("127.0.0.1", host), private=False)
            assert (answer, answer.cause) == (Answer(UNANSWERED), NOT_PUBLIC), host
    assert heard == []


def test_the_address_that_was_checked_is_the_one_that_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that is public when it is looked at and private a moment later is looked up once."""
    with answering(b"HTTP/1.1 200 OK\r\n\r\n") as (url, heard):
        port = int(url.rsplit(":")[-1].partition("/")[0])
        looked_up: list[str] = []
        real = socket.getaddrinfo

        def resolve(host: str, *args: object, **options: object) -> object:
            if host != "rebinding.example":
                return real(host, *args, **options)  # type: ignore[arg-type]
            looked_up.append(host)
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

        monkeypatch.setattr(socket, "getaddrinfo", resolve)
        there = f"http://rebinding.example:{port}/"
        assert send(there) == Answer()
        assert looked_up == ["rebinding.example"]
        assert b"rebinding.example" in heard[0], "it is called by its name, at the address"
        assert send(there, private=False).cause == NOT_PUBLIC


def test_a_defect_keeps_nobody_else_from_being_told() -> None:
    with answering(b"HTTP/1.1 200 OK\r\n\r\n") as (url, heard):
        messages = [Message("ftp://example.com/", {}, b"{}"), Message(url, {}, b"{}")]
        with closing(Sender(timeout_seconds=5, private=True)) as sender:
            sent = [sender.start(message) for message in messages]
            wait(sent)
            defect, told = map(answer_of, sent)
    assert (defect.error, told, len(heard)) == ("it cannot be sent: a defect of this service", Answer(), 1)


def test_a_gateway_that_stops_does_not_wait() -> None:
    with answering(b"", pause=20) as (url, _):
        assert send(url, timeout_seconds=20, cancelled=True) == Answer("the gateway stopped before an answer came")
