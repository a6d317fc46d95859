#!/usr/bin/python3
"""A reader of FPM that discards: takes one connection after the other, and all that comes, as fast as it can.

    perf/fpm_reader.py ADDRESS PORT [--record FILE]

A replay has no end mark: it is over once nothing has come for two seconds. Then a line of JSON says how many bytes it had,
and the seconds from the connection to its last byte.
"""

import argparse
import json
import socket
import time

QUIET_SECONDS = 2
BUFFER_BYTES = 1 << 20


def serve(connection, record):
    connected = last = time.monotonic()
    buffer, total, told = bytearray(BUFFER_BYTES), 0, False
    connection.settimeout(QUIET_SECONDS)
    while True:
        try:
            size = connection.recv_into(buffer)
        except TimeoutError:
            size = None
        except ConnectionError:
            size = 0
        if size:
            last = time.monotonic()
            total += size
            if record:
                record.write(memoryview(buffer)[:size])
        elif total and not told:
            told = True
            if record:
                record.flush()
            print(json.dumps({"bytes": total, "seconds": last - connected}), flush=True)
        if size == 0:
            return


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("address")
    parser.add_argument("port", type=int)
    parser.add_argument("--record", metavar="FILE", help="where the bytes of the first connection go")
    options = parser.parse_args()
    with socket.create_server((options.address, options.port)) as server:
        print("listening", flush=True)
        while True:
            connection, _ = server.accept()
            with connection:
                if options.record:
                    with open(options.record, "wb") as record:
                        serve(connection, record)
                    options.record = None
                else:
                    serve(connection, None)


if __name__ == "__main__":
    main()
