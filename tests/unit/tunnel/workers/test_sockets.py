"""Sockets that several processes listen on at one address."""

from __future__ import annotations

import socket

import pytest

from nodepass.errors import ListenError
from nodepass.net.listen import bind
from nodepass.tunnel.workers.sockets import SharedSockets, Where
from tests.harness import connect, free_port


def where(kind: socket.SocketKind = socket.SOCK_STREAM) -> Where:
    return ("127.0.0.1",), free_port(), kind


def listening(descriptors: list[int]) -> socket.socket:
    (descriptor,) = descriptors
    return socket.socket(fileno=descriptor)


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_whoever_is_there_already_is_in_the_way(kind: socket.SocketKind) -> None:
    shared, there = SharedSockets(), where(kind)
    with socket.socket(socket.AF_INET, kind) as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, int(kind is socket.SOCK_STREAM))
        taken.bind(("127.0.0.1", there[1]))
        if kind is socket.SOCK_STREAM:
            taken.listen()
        with pytest.raises(ListenError, match="Address already in use"):
            shared.give(0, there)
    with listening(shared.give(0, there)), listening(shared.give(1, there)), pytest.raises(ListenError):
        bind(*there)
    shared.close()
    for sock in bind(*there):
        sock.close()


def test_what_comes_is_spread() -> None:
    shared, there = SharedSockets(), where()
    with listening(shared.give(0, there)) as one, listening(shared.give(1, there)) as two:
        waiting = {one: 0, two: 0}
        users = [connect(there[1]) for _ in range(100)]
        for sock in waiting:
            try:
                while True:
                    sock.accept()[0].close()
                    waiting[sock] += 1
            except BlockingIOError:
                continue
        for user in users:
            user.close()
        assert sum(waiting.values()) == len(users)
        assert all(waiting.values())
    shared.close()


def test_one_that_comes_back_gets_what_it_had() -> None:
    shared, there = SharedSockets(), where()
    listening(shared.give(0, there)).close()
    with connect(there[1]) as user, listening(shared.give(0, there)) as again:
        sock, address = again.accept()
        assert address == user.getsockname()
        sock.close()
    shared.close()


def test_what_has_been_released_is_there_no_more() -> None:
    shared, there = SharedSockets(), where()
    for index in range(2):
        listening(shared.give(index, there)).close()
    shared.release(0, *there[:2])
    with connect(there[1]):
        shared.release_all(1)
    with pytest.raises(ConnectionRefusedError):
        connect(there[1])
