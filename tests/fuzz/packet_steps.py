"""The steps of packet_fuzz."""

JUMBO, SMALL, WAN, TIME = 0, 1, 2, 3
KEEP_MAC, KEEP_CHECKSUM, SEGMENTS, NO_ROOM, FILL = 4, 8, 16, 32, 64
HOST = "02:00:00:00:00:02"


def frame(data, interface=JUMBO, flags=0, segments=()):
    data = bytes(data)
    step = bytes([interface | flags | (SEGMENTS if segments else 0)]) + bytes(segments)
    step += len(data).to_bytes(2, "big")
    tail = len(data) - len(data.rstrip(data[-1:]))
    given = len(data) - tail + 1
    if tail > 3 and given < 256:  # a long packet is a short seed
        return bytes([step[0] | FILL]) + step[1:] + bytes([given]) + data[:given]
    return step + data


WITH_DAEMON = {"wan0": 0, "lan0": 1, "qinq0": 2}


def daemon(data, interface="wan0", flags=KEEP_MAC):
    """A daemon of the interface sends a frame; by default to whom it says."""
    data = bytes(data)
    return bytes([TIME, 0x80 | flags | WITH_DAEMON[interface]]) + len(data).to_bytes(2, "big") + data


def wait(tenths, flap=0):
    """Time passes; the link of port `flap` (1-3) goes down and comes up before."""
    return bytes([TIME, flap << 5 | tenths])
