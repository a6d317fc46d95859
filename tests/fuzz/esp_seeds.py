"""Seeds of esp_fuzz; make_corpus.py writes them."""

SPI = b"\x00\x00\x12\x34"
EXTENDED, AUTHENTIC, BATCH_ENDS = 1, 2, 0x80
GCM, CHACHA, CBC, NULL = 0, 6, 10, 20  # as in esp/algorithm.def
IV = {GCM: 8, CHACHA: 8, CBC: 16, NULL: 0}


def packet(algorithm, number, text=b"payload!" + bytes([1, 2, 3, 4, 5, 6, 6, 4]), ends=False):
    """Without its ICV."""
    whole = SPI + (number & 0xffffffff).to_bytes(4, "big") + bytes(IV[algorithm]) + text
    return bytes([len(whole) | (BATCH_ENDS if ends else 0)]) + whole


def esp_seeds():
    for name, algorithm in (("gcm", GCM), ("chacha", CHACHA), ("cbc", CBC), ("null", NULL)):
        def several(numbers, algorithm=algorithm, **how):
            return b"".join(packet(algorithm, number, **how) for number in numbers)
        yield f"{name}", bytes([algorithm, AUTHENTIC]) + several((1, 2, 3))
        yield f"{name}-forged", bytes([algorithm, 0]) + several((1, 2, 3))
        yield f"{name}-replayed", bytes([algorithm, AUTHENTIC]) + several((7, 7, 7, 9)) + several((7, 9), ends=True)
        yield f"{name}-late", bytes([algorithm, AUTHENTIC]) + several((200, 137, 136), ends=True)
        yield f"{name}-wrap", bytes([algorithm, AUTHENTIC | EXTENDED]) + several((0xfffffff0, 5, 0xfffffff1, 6), ends=True)
        yield f"{name}-zero", bytes([algorithm, AUTHENTIC]) + several((0,))
        yield f"{name}-padding", bytes([algorithm, AUTHENTIC]) + several((1, 2), text=bytes(14) + b"\xff\x04")
        yield f"{name}-runts", bytes([algorithm, AUTHENTIC]) + several((1, 2), text=b"") + bytes([5]) + b"short" + bytes([0])
