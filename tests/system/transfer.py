"""Bytes from one kernel host to another through what is between them, compared at the other end."""

import hashlib
import random
import socket
import threading

SECONDS = 60
TRIES = 5  # the first datagrams of a size may be lost to a path MTU that nobody knows yet


def family_of(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def _listener(host, address, kind):
    listener = host.netns.socket(family_of(address), kind)
    listener.settimeout(SECONDS)
    listener.bind((address, 0))
    return listener


def tcp(sender, receiver, address, size):
    """Sends `size` random bytes to `address`, which is the receiver's; returns the largest segment that was agreed."""
    data = random.Random(size).randbytes(size)
    with _listener(receiver, address, socket.SOCK_STREAM) as listener:
        listener.listen(1)
        digest = hashlib.sha256()

        def take():
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(SECONDS)
                while piece := connection.recv(1 << 20):
                    digest.update(piece)

        taker = threading.Thread(target=take, daemon=True)
        taker.start()
        with sender.netns.socket(family_of(address), socket.SOCK_STREAM) as connection:
            connection.settimeout(SECONDS)
            connection.connect(listener.getsockname())
            connection.sendall(data)
            segment = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG)
        taker.join(SECONDS)
    assert digest.digest() == hashlib.sha256(data).digest(), f"{size} bytes of TCP did not all come to {address}"
    return segment


def udp_echo(sender, receiver, address, sizes):
    """A datagram of each size goes to `address` and comes back as it was."""
    with _listener(receiver, address, socket.SOCK_DGRAM) as listener:
        done = threading.Event()

        def answer():
            listener.settimeout(0.1)
            while not done.is_set():
                try:
                    listener.sendto(*listener.recvfrom(65535))
                except (TimeoutError, OSError):
                    pass

        answerer = threading.Thread(target=answer, daemon=True)
        answerer.start()
        try:
            with sender.netns.socket(family_of(address), socket.SOCK_DGRAM) as connection:
                connection.settimeout(1)
                connection.connect(listener.getsockname())
                for size in sizes:
                    data = random.Random(size).randbytes(size)
                    assert any(_came_back(connection, data) for _ in range(TRIES)), f"{size} bytes of UDP to {address}"
        finally:
            done.set()
            answerer.join()


def _came_back(connection, data):
    try:
        connection.send(data)
        return connection.recv(65535) == data
    except (TimeoutError, OSError):  # EMSGSIZE: the path's MTU became known
        return False
