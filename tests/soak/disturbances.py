"""What goes on all the time during a soak: each a thread that takes short steps and can be held between two."""

import json
import random
import socket
import struct
import threading
import time
import traceback
import zlib

from mutate import Mutator, seeds, templates
from packets import udp

_MAGIC = b"soak probe"


class Disturbance(threading.Thread):
    """Steps, `interval` seconds apart. `error` is what ended it before its time."""

    interval = 0.1

    def __init__(self):
        super().__init__(name=type(self).__name__.lower(), daemon=True)
        self.steps, self.error = 0, None
        self._between, self._end = threading.Lock(), threading.Event()

    def step(self):
        raise NotImplementedError

    def run(self):
        try:
            while not self._end.wait(self.interval):
                with self._between:
                    self.step()
                    self.steps += 1
        except Exception:  # also of the threads' own: whatever it is, the soak names it
            self.error = traceback.format_exc()

    def hold(self):
        """Returns when the step under way is done; none begins before release()."""
        self._between.acquire()

    def release(self):
        self._between.release()

    def stop(self):
        self._end.set()
        if self.ident is not None:
            self.join()


class Churn(Disturbance):
    """Routes come, go and change over the API; an owner's routes are replaced as a whole."""

    interval = 0.1
    BATCH, OWNED = 500, 200

    def __init__(self, router, routes):
        super().__init__()
        self.router, self.routes, self.changes, self.owned = router, routes, 0, 0

    def step(self):
        self._post("/v1/routes:batch", self.routes.change(self.BATCH))
        if self.steps % 20 == 0:
            first = self.steps // 20 % 50
            self._post("/v1/routes:replace?owner=soak",
                       [f"10.200.{number}.0/24 via 10.128.0.10" for number in range(first, first + self.OWNED)])
            self.owned = self.OWNED

    def _post(self, path, lines):
        status, _, body = self.router.api("POST", path, "\n".join(lines), {"Content-Type": "text/plain"})
        answer = json.loads(body)
        assert status == 200 and answer["failed"] == 0, f"{path}: {status} {answer}"
        self.changes += len(lines)


class Reloads(Disturbance):
    """`millrace apply`: a port more with its routes, seen to work, and back again."""

    interval = 1.5

    def __init__(self, router, guest, plain, more):
        super().__init__()
        self.router, self.guest = router, guest
        self.plain = router.write(plain, router.directory / "plain.yaml")
        self.more = router.write(more, router.directory / "more.yaml")

    def step(self):
        self.router.cli("apply", self.more)
        self.guest.warm("10.80.0.1", "192.0.2.2")
        self.router.cli("apply", self.plain)


class Flaps(Disturbance):
    """The link of a port goes down and up; routes have next hops on it."""

    interval = 1.0

    def __init__(self, port):
        super().__init__()
        self.port, self._rng = port, random.Random(1)

    def step(self):
        self.port.set_carrier(False)
        time.sleep(self._rng.uniform(0.01, 0.5))
        self.port.set_carrier(True)


class Mutated(Disturbance):
    """Mutated frames, so many a second."""

    interval = 0.05

    def __init__(self, wire, rate, seed):
        super().__init__()
        self.wire, self.frames = wire, 0
        self._burst = max(1, int(rate * self.interval))
        self._mutator = Mutator(seed, templates(wire) + seeds())

    def step(self):
        self.wire.send(*[self._mutator.frame() for _ in range(self._burst)])
        self.frames += self._burst
        self.wire.drain()


class Bulk(Disturbance):
    """One TCP connection between two kernel hosts, as long as the soak: all that is sent arrives, in order."""

    interval = 0.01
    CHUNK = 64 << 10
    SECONDS = 60  # without a byte, and it has failed

    def __init__(self, client, server):
        super().__init__()
        self.sent = self.received = 0
        self._sums = [0, 0]
        self._rng = random.Random(2)
        listener = server.netns.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.bind((server.address, 5001))
        listener.listen()
        self._out = client.netns.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._out.settimeout(self.SECONDS)
        self._out.connect((server.address, 5001))
        self._in, _ = listener.accept()
        listener.close()
        threading.Thread(target=self._receive, name="bulk receiver", daemon=True).start()

    def step(self):
        chunk = self._rng.randbytes(self.CHUNK)
        self._out.sendall(chunk)
        self._sums[0] = zlib.crc32(chunk, self._sums[0])
        self.sent += len(chunk)

    def _receive(self):
        while data := self._in.recv(self.CHUNK):
            self._sums[1] = zlib.crc32(data, self._sums[1])
            self.received += len(data)

    @property
    def is_whole(self):
        return self.received == self.sent and self._sums[0] == self._sums[1]

    def close(self):
        self._out.close()


class Probes(Disturbance):
    """Packets to routes that do not change: each has to leave once, to the MAC of its next hop."""

    interval = 0.05
    BURST = 5

    def __init__(self, source, address, sink, destinations):
        super().__init__()
        self.source, self.sink = source, sink
        self._frames = [(udp(source, address, to, _MAGIC + bytes(8))[:-8], mac) for to, mac in destinations]
        self.sent, self.wrong = 0, []
        self.outstanding = {}  # number -> the MAC to come to
        self._watching = threading.Event()
        self._receiver = threading.Thread(target=self._receive, name="probe receiver", daemon=True)
        self._receiver.start()

    def step(self):
        for _ in range(self.BURST):
            frame, mac = self._frames[self.sent % len(self._frames)]
            self.outstanding[self.sent] = mac
            self.source.send(self._without_checksum(frame) + struct.pack("!Q", self.sent))
            self.sent += 1
        self.source.drain()

    @staticmethod
    def _without_checksum(frame):
        return frame[:40] + b"\0\0" + frame[42:]  # of UDP (RFC 768: 0 is "none"), as the number changes the payload

    def _receive(self):
        while not self._watching.is_set():
            for frame in self.sink.frames(0.1):
                if frame[42:42 + len(_MAGIC)] == _MAGIC:
                    self._received(struct.unpack_from("!Q", frame, 42 + len(_MAGIC))[0], frame[:6].hex(":"))

    def _received(self, number, mac):
        wanted = self.outstanding.pop(number, None)
        if wanted != mac:
            self.wrong.append(f"probe {number} came to {mac}, expected {wanted or 'once'}")

    def close(self):
        self._watching.set()
        self._receiver.join()
