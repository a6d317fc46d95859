"""The small programs of perf/replay.py count what they should: bytes of a replay, and packets that do not come."""

import json
import pathlib
import socket
import subprocess
import sys
import types

import frames
import packet_stream

ROOT = pathlib.Path(__file__).resolve().parents[2]
HEADS = [packet_stream.head_of("02:00:00:00:00:01", b"\x02\0\0\0\0\2", to) for to in ("198.18.0.1", "198.18.1.1")]


class Wires:
    """What is sent comes, once or as often as `copies` says for its number; odd ones by the second."""

    def __init__(self, copies):
        self.copies, self.sent, self.under_way = copies, 0, ([], [])
        self.frames = bytearray(packet_stream.BURST * packet_stream.FRAME)

    def send(self, count):
        for slot in range(count):
            frame = self.frames[slot * packet_stream.FRAME:(slot + 1) * packet_stream.FRAME]
            number = int.from_bytes(frame[packet_stream.AT:], "big")
            assert number == self.sent and bytes(frame[:packet_stream.AT]) == HEADS[number % 2]
            self.under_way[number % 2].extend([(number, 1000 * number + 1000)] * self.copies.get(number, 1))
            self.sent += 1
        return 0

    def receiver(self, which):
        return types.SimpleNamespace(frames=lambda: [self.under_way[which].pop(0) for _ in self.under_way[which][:]])


def test_packets_that_do_not_come_are_lost_by_their_destination():
    wires = Wires({3: 0, 5: 0, 6: 0, 8: 2})
    stream = packet_stream.Stream(wires, [wires.receiver(0), wires.receiver(1)], HEADS, 1000)
    for number in range(1, 11):
        stream.send(number)
        stream.take()
    said = stream.said(["even", "odd"])
    assert said["sent"] == {"even": 5, "odd": 5} and said["lost"] == {"even": 1, "odd": 2}
    assert (said["doubled"], said["refused"]) == (1, 0)
    assert said["lost_ns"] == [stream.sent_ns(number) for number in (3, 5, 6)] == sorted(said["lost_ns"])
    assert said["longest_gap_ms"] == 0.003  # from 4 to 7
    assert said["by_wire"] == [5, 3] and said["moves_ns"] == []


def test_packets_that_come_by_another_wire_have_moved():
    came = ([(0, 10), (3, 40), (4, 50)], [(1, 20), (2, 30)])  # read wire by wire, each in its order
    stream = packet_stream.Stream(Wires({}), [types.SimpleNamespace(frames=lambda each=each: each) for each in came], HEADS, 1000)
    stream.send(5)
    stream.take()
    assert stream.said(["even", "odd"])["moves_ns"] == [(30, 0, 1), (40, 1, 0), (50, 1, 0)]


def test_packets_are_out_of_order_that_come_behind_later_ones_to_their_destination():
    came = [(number, 10 * at + 10) for at, number in enumerate([1, 0, 2, 7, 3, 5, 4, 6])]  # odd: 1 7 3 5
    stream = packet_stream.Stream(Wires({}), [types.SimpleNamespace(frames=lambda: came)], HEADS, 1000)
    stream.send(8)
    stream.take()
    assert (stream.said(["even", "odd"])["reordered"], stream.doubled) == (2, 0)


def test_frames_of_the_stream_are_right_ipv4():
    frame = HEADS[0] + bytes(8)
    assert frame[:14] == b"\x02\0\0\0\0\1" + b"\x02\0\0\0\0\2" + b"\x08\0"
    assert frames.checksum(frame[14:34]) == 0 and len(frame) - 14 == int.from_bytes(frame[16:18], "big")
    assert frame[30:34] == socket.inet_aton("198.18.0.1") and len(frame) - 34 == int.from_bytes(frame[38:40], "big")


def test_the_reader_counts_each_replay_and_records_the_first(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    record = tmp_path / "frames"
    reader = subprocess.Popen([sys.executable, ROOT / "perf/fpm_reader.py", "127.0.0.1", str(port), "--record", record],
                              stdout=subprocess.PIPE, text=True)
    try:
        assert reader.stdout.readline() == "listening\n"
        for size in (100_000, 7):
            with socket.create_connection(("127.0.0.1", port)) as peer:
                peer.sendall(b"x" * size)
            said = json.loads(reader.stdout.readline())
            assert said["bytes"] == size and said["seconds"] >= 0
        assert record.stat().st_size == 100_000
    finally:
        reader.kill()
        reader.wait()
        reader.stdout.close()
