"""BGP as it was recorded: reads UPDATEs from MRT files (RFC 6396), makes them of tables, and says them to a real daemon.

A `Speaker` opens a session, as an external neighbour with 4-octet AS numbers and both families, and sends the bytes of
UPDATEs as they are: as fast as they are taken, or at the times at which they were recorded. What the daemon says is read
and forgotten.
"""

import dataclasses
import gzip
import ipaddress
import itertools
import socket
import struct
import threading
import time

MARKER = b"\xff" * 16
OPEN, UPDATE, NOTIFICATION, KEEPALIVE = 1, 2, 3, 4
HEADER_BYTES, MAX_BYTES = 19, 4096  # RFC 4271 4.1
HOLD_SECONDS = 180
BGP4MP, BGP4MP_ET = 16, 17
MESSAGE, MESSAGE_AS4, MESSAGE_LOCAL, MESSAGE_AS4_LOCAL = 1, 4, 6, 7
CHUNK_BYTES = 64 << 10
AS_TRANS = 23456


class Malformed(Exception):
    """A file, or an UPDATE in it, is not what it should be."""


class SessionLost(Exception):
    """The daemon ended the session, or never opened it."""


@dataclasses.dataclass(frozen=True)
class Recorded:
    """An UPDATE, when it came, from whom, and whether its AS numbers have four octets."""
    seconds: float
    peer: str
    as4: bool
    message: bytes


def _records(data, path):
    """(place, seconds, type, subtype, body) of each record."""
    at = 0
    while at < len(data):
        if at + 12 > len(data):
            raise Malformed(f"{path}: at byte {at}: {len(data) - at} bytes are no MRT header, which has 12")
        seconds, kind, subtype, length = struct.unpack_from("!IHHI", data, at)
        body = data[at + 12:at + 12 + length]
        if len(body) < length:
            raise Malformed(f"{path}: at byte {at}: the record says that it has {length} bytes, and {len(body)} follow")
        place = f"{path}: at byte {at}"
        if kind == BGP4MP_ET:  # RFC 6396 3
            if length < 4:
                raise Malformed(f"{place}: no room for microseconds")
            seconds += struct.unpack_from("!I", body)[0] / 1e6
            body = body[4:]
        yield place, seconds, kind, subtype, body
        at += 12 + length


def _message(body, as4, place):
    """(peer, BGP message) of a record MESSAGE or MESSAGE_AS4; RFC 6396 4.4.2 and 4.4.3."""
    as_bytes = 8 if as4 else 4
    if len(body) < as_bytes + 4:
        raise Malformed(f"{place}: the record ends within its own header")
    family = struct.unpack_from("!H", body, as_bytes + 2)[0]
    if family not in (1, 2):
        raise Malformed(f"{place}: address family {family}")
    size = 4 if family == 1 else 16
    first = as_bytes + 4
    message = body[first + 2 * size:]
    if len(message) < HEADER_BYTES:
        raise Malformed(f"{place}: {len(message)} bytes are no BGP message")
    length = struct.unpack_from("!H", message, 16)[0]
    if message[:16] != MARKER or length != len(message):
        raise Malformed(f"{place}: a BGP message of {len(message)} bytes that says it has {length}, "
                        f"{'with' if message[:16] == MARKER else 'without'} its marker")
    return str(ipaddress.ip_address(body[first:first + size])), message


def read_updates(path, limit=None):
    """The first UPDATEs of an MRT file, gzipped or not. Other records are passed over; what is malformed is an error."""
    try:
        with open(path, "rb") as file:
            zipped = file.read(2) == b"\x1f\x8b"
        with (gzip.open if zipped else open)(path, "rb") as file:
            data = file.read()
    except (EOFError, gzip.BadGzipFile, OSError) as error:
        raise Malformed(f"{path}: {error}") from error
    return list(itertools.islice(_updates(data, path), limit))


def _updates(data, path):
    for place, seconds, kind, subtype, body in _records(data, path):
        if kind not in (BGP4MP, BGP4MP_ET) or subtype not in (MESSAGE, MESSAGE_AS4):
            continue
        as4 = subtype == MESSAGE_AS4
        peer, message = _message(body, as4, place)
        if message[18] != UPDATE:
            continue
        try:
            changes_of(message)
        except Malformed as error:
            raise Malformed(f"{place}: {error}") from None
        yield Recorded(seconds, peer, as4, message)


# --- what is in an UPDATE

def _prefixes(data, family, what):
    """(family, length, octets) of each prefix. Bits after the prefix do not count (RFC 4271 4.3)."""
    found, at = [], 0
    most, size = (32, 4) if family == 1 else (128, 16)
    while at < len(data):
        length = data[at]
        end = at + 1 + (length + 7) // 8
        if length > most or end > len(data):
            raise Malformed(f"{what}: a prefix of {length} bits in {len(data) - at - 1} bytes")
        number = int.from_bytes(data[at + 1:end].ljust(size, b"\0"), "big")
        number = number >> (most - length) << (most - length)
        found.append((family, length, number))
        at = end
    return found


def _attributes(data):
    """(type, value) of each path attribute; RFC 4271 4.3."""
    at = 0
    while at < len(data):
        wide = data[at] & 0x10
        begin = at + (4 if wide else 3)
        if begin > len(data):
            raise Malformed("a path attribute ends within its header")
        length = struct.unpack_from("!H" if wide else "!B", data, at + 2)[0]
        if begin + length > len(data):
            raise Malformed(f"path attribute {data[at + 1]} says that it has {length} bytes, and "
                            f"{len(data) - begin} follow")
        yield data[at + 1], data[begin:begin + length]
        at = begin + length


def _multiprotocol(kind, value):
    """The unicast prefixes of MP_REACH_NLRI (14) or MP_UNREACH_NLRI (15); RFC 4760."""
    name = "MP_REACH_NLRI" if kind == 14 else "MP_UNREACH_NLRI"
    if len(value) < (5 if kind == 14 else 3):
        raise Malformed(f"{name} has {len(value)} bytes")
    family, unicast = struct.unpack_from("!HB", value)
    if family not in (1, 2) or unicast != 1:
        return []
    begin = 5 + value[3] if kind == 14 else 3
    if begin > len(value):
        raise Malformed(f"{name}: its next hop ends after it")
    return _prefixes(value[begin:], family, name)


def changes_of(message):
    """(withdrawn, announced) prefixes of an UPDATE, of both families."""
    body = message[HEADER_BYTES:]
    if len(body) < 4:
        raise Malformed(f"an UPDATE of {len(message)} bytes")
    withdrawn_bytes = struct.unpack_from("!H", body)[0]
    if withdrawn_bytes + 4 > len(body):
        raise Malformed(f"{withdrawn_bytes} bytes of withdrawn routes in an UPDATE of {len(message)}")
    withdrawn = _prefixes(body[2:2 + withdrawn_bytes], 1, "withdrawn routes")
    attributes_at = 4 + withdrawn_bytes
    nlri_at = attributes_at + struct.unpack_from("!H", body, attributes_at - 2)[0]
    if nlri_at > len(body):
        raise Malformed(f"the path attributes end {nlri_at - len(body)} bytes after the UPDATE")
    announced = []
    for kind, value in _attributes(body[attributes_at:nlri_at]):
        if kind == 14:
            announced += _multiprotocol(kind, value)
        elif kind == 15:
            withdrawn += _multiprotocol(kind, value)
    return withdrawn, announced + _prefixes(body[nlri_at:], 1, "NLRI")


def _names_as_zero(message, as4):
    """Whether AS 0 is in the AS_PATH: what is announced counts as withdrawn then (RFC 7607)."""
    withdrawn_bytes = struct.unpack_from("!H", message, HEADER_BYTES)[0]
    begin = HEADER_BYTES + 4 + withdrawn_bytes
    length = struct.unpack_from("!H", message, begin - 2)[0]
    size = 4 if as4 else 2
    for kind, path in _attributes(message[begin:begin + length]):
        at = 0
        while kind == 2 and at + 2 <= len(path):
            end = at + 2 + path[at + 1] * size
            if any(path[i:i + size] == bytes(size) for i in range(at + 2, end, size)):
                return True
            at = end
    return False


def apply(messages, prefixes=(), as4=True):
    """The prefixes that a daemon has after these UPDATEs, all from one neighbour, were added to what was there."""
    now = set(prefixes)
    for message in messages:
        withdrawn, announced = changes_of(message)
        now.difference_update(withdrawn)
        if announced and _names_as_zero(message, as4):
            now.difference_update(announced)
        else:
            now.update(announced)
    return now


def prefix_text(prefix):
    family, length, number = prefix
    return f"{(ipaddress.IPv4Address if family == 1 else ipaddress.IPv6Address)(number)}/{length}"


# --- UPDATEs of tables

def message_of(kind, body=b""):
    return MARKER + struct.pack("!HB", HEADER_BYTES + len(body), kind) + body


def _attribute(flags, kind, value):
    if len(value) > 255:
        return struct.pack("!BBH", flags | 0x10, kind, len(value)) + value
    return struct.pack("!BBB", flags, kind, len(value)) + value


def _packed(prefix):
    address, length = prefix.split("/")
    kind = socket.AF_INET6 if ":" in address else socket.AF_INET
    return bytes([int(length)]) + socket.inet_pton(kind, address)[:(int(length) + 7) // 8]


def updates_of(routes, asn):
    """UPDATEs, as full as they may be, for pairs (prefix, next hop) of either family, from a neighbour in `asn`."""
    by_next_hop = {}
    for prefix, next_hop in routes:
        by_next_hop.setdefault(next_hop, []).append(_packed(prefix))
    common = _attribute(0x40, 1, b"\0") + _attribute(0x40, 2, struct.pack("!BBI", 2, 1, asn))
    room = MAX_BYTES - HEADER_BYTES - 4 - len(common) - 40  # of the attribute that is still to come
    for next_hop, prefixes in by_next_hop.items():
        batch, size = [], 0
        for prefix in prefixes:
            if size + len(prefix) > room:
                yield _update(next_hop, common, b"".join(batch))
                batch, size = [], 0
            batch.append(prefix)
            size += len(prefix)
        yield _update(next_hop, common, b"".join(batch))


def _update(next_hop, common, nlri):
    if ":" in next_hop:
        reach = struct.pack("!HBB", 2, 1, 16) + socket.inet_pton(socket.AF_INET6, next_hop) + b"\0" + nlri
        attributes, nlri = common + _attribute(0x80, 14, reach), b""
    else:
        attributes = common + _attribute(0x40, 3, socket.inet_aton(next_hop))
    return message_of(UPDATE, struct.pack("!HH", 0, len(attributes)) + attributes + nlri)


def withdrawal_of(prefixes):
    """An UPDATE that takes back IPv4 prefixes."""
    data = b"".join(bytes([length]) + number.to_bytes(4, "big")[:(length + 7) // 8] for _, length, number in prefixes)
    return message_of(UPDATE, struct.pack("!H", len(data)) + data + b"\0\0")


# --- the session

class Speaker:
    """A neighbour of a BGP daemon. `connect()` gives a TCP connection to it, from inside the right namespace."""

    def __init__(self, connect, asn, identifier, as4=True):
        self._socket = connect()
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._sending, self._closed = threading.Lock(), threading.Event()
        self._why = None
        self._buffer = b""
        try:
            self._open(asn, identifier, as4)
        except BaseException:
            self._socket.close()
            raise
        self._threads = [threading.Thread(target=target, daemon=True) for target in (self._keep_alive, self._read)]
        for thread in self._threads:
            thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _open(self, asn, identifier, as4):
        """RFC 4271 8.2.2 as far as it goes right; capabilities of RFC 4760 and, with `as4`, of RFC 6793."""
        capabilities = b"".join(struct.pack("!BBHBB", 1, 4, family, 0, 1) for family in (1, 2))
        if as4:
            capabilities += struct.pack("!BBI", 65, 4, asn)
        options = struct.pack("!BB", 2, len(capabilities)) + capabilities
        self._socket.settimeout(30)
        self._socket.sendall(message_of(OPEN, struct.pack("!BHH", 4, asn if asn < 65536 else AS_TRANS, HOLD_SECONDS) +
                                        socket.inet_aton(identifier) + bytes([len(options)]) + options))
        self._expect(OPEN)
        self._socket.sendall(message_of(KEEPALIVE))
        self._expect(KEEPALIVE)
        self._socket.settimeout(None)

    def _expect(self, wanted):
        kind, body = self._next()
        if kind != wanted:
            raise SessionLost(f"message type {kind} instead of {wanted}: {body.hex()}")

    def _next(self):
        """(type, body) of the next message."""
        while True:
            if len(self._buffer) >= HEADER_BYTES:
                length, kind = struct.unpack_from("!HB", self._buffer, 16)
                if len(self._buffer) >= length:
                    body, self._buffer = self._buffer[HEADER_BYTES:length], self._buffer[length:]
                    return kind, body
            piece = self._socket.recv(1 << 16)
            if not piece:
                raise SessionLost("the daemon closed the connection")
            self._buffer += piece

    def _read(self):
        try:
            while True:
                kind, body = self._next()
                if kind == NOTIFICATION:
                    raise SessionLost(f"notification {body[:2].hex()} {body[2:].hex()}")
        except (SessionLost, OSError) as error:
            self._why = str(error)

    def _keep_alive(self):
        while not self._closed.wait(HOLD_SECONDS / 6):
            try:
                with self._sending:
                    self._socket.sendall(message_of(KEEPALIVE))
            except OSError:
                return

    def check(self):
        if self._why is not None:
            raise SessionLost(self._why)

    def _send(self, data):
        self.check()
        try:
            with self._sending:
                self._socket.sendall(data)
        except OSError as error:
            raise SessionLost(self._why or str(error)) from error

    def send(self, messages):
        """As fast as the daemon takes them. Messages stay whole beside keepalives."""
        chunk, size = [], 0
        for message in messages:
            chunk.append(message)
            size += len(message)
            if size >= CHUNK_BYTES:
                self._send(b"".join(chunk))
                chunk, size = [], 0
        self._send(b"".join(chunk))

    def send_timed(self, recorded, times_faster=1):
        """As they were recorded, or so many times faster. Returns by how many seconds the latest was late."""
        if not recorded:
            return 0.0
        begin, latest = time.monotonic(), 0.0
        first = recorded[0].seconds
        for seconds, at_once in itertools.groupby(recorded, lambda update: update.seconds):
            due = begin + (seconds - first) / times_faster
            time.sleep(max(0.0, due - time.monotonic()))
            self._send(b"".join(update.message for update in at_once))
            latest = max(latest, time.monotonic() - due)
        return latest

    def close(self):
        """The daemon withdraws what it learned here."""
        self._closed.set()
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # it is gone already
        for thread in self._threads:
            thread.join()
        self._socket.close()
