#!/usr/bin/env python3
"""The far end of the board's serial port: opens TCP streams for it, as a modem does.

    bridge.py [port]

Listens on 127.0.0.1, prints the port, and serves one board after another, which connect as
`qemu-system-arm ... -serial tcp:127.0.0.1:PORT`. The frames are described in link.h."""

import binascii
import select
import socket
import sys
import time

END, ESCAPE = 0xC0, 0xDB
LARGEST_DATA = 512
RESEND_SECONDS = 1.0
CONNECT_SECONDS = 5


def slip(frame):
    frame += binascii.crc_hqx(frame, 0).to_bytes(2, "big")
    return b"\xc0" + frame.replace(b"\xdb", b"\xdb\xdd").replace(b"\xc0", b"\xdb\xdc") + b"\xc0"


def unslip(raw):
    """The frame, or None if it is damaged."""
    frame = raw.replace(b"\xdb\xdc", b"\xc0").replace(b"\xdb\xdd", b"\xdb")
    if len(frame) < 5 or binascii.crc_hqx(frame, 0) != 0:
        return None
    return frame[:-2]


class Board:
    """One board, from its connection to its end."""

    number = 0  # of the last frame; goes on from board to board, so that an old answer fits no new frame

    def __init__(self, serial):
        self.serial = serial
        self.raw = b""
        self.streams = {}  # number -> socket
        self.queue = []  # frames that wait: (kind, stream, data)
        self.unanswered = None  # the frame under way, as it was sent
        self.sent_at = 0.0

    def serve(self):
        try:
            while True:
                # A stream is read when nothing else waits: the peer's TCP holds back the rest.
                readable = [self.serial] + ([] if self.queue or self.unanswered else list(self.streams.values()))
                ready, _, _ = select.select(readable, [], [], 0.2)
                for connection in ready:
                    if connection is not self.serial:
                        self.read_stream(connection)
                    elif not self.read_serial():
                        return
                self.send()
        finally:
            self.close_all()

    def close_all(self):
        for connection in self.streams.values():
            connection.close()
        self.streams, self.queue, self.unanswered = {}, [], None

    def read_serial(self):
        try:
            received = self.serial.recv(65536)
        except ConnectionError:
            return False
        *frames, self.raw = (self.raw + received).split(b"\xc0")
        for frame in filter(None, map(unslip, frames)):
            self.take(chr(frame[0]), frame[1], frame[2], frame[3:])
        return bool(received)

    def take(self, kind, stream, number, data):
        if kind == "A" and self.unanswered and number == Board.number:
            self.unanswered = None
        elif kind == "R":
            self.close_all()
        elif kind == "O":
            self.open(stream, data.decode())
        elif kind == "D" and stream in self.streams:
            try:
                self.streams[stream].sendall(data)
            except OSError:
                self.close(stream)
        elif kind == "C" and stream in self.streams:
            self.streams.pop(stream).close()

    def open(self, stream, address):
        host, port = address.rsplit(":", 1)
        try:
            self.streams[stream] = socket.create_connection((host, int(port)), CONNECT_SECONDS)
            self.queue.append(("O", stream, b""))
        except OSError as error:
            print(f"{address}: {error}", file=sys.stderr)
            self.queue.append(("C", stream, b""))

    def close(self, stream):
        self.streams.pop(stream).close()
        self.queue.append(("C", stream, b""))

    def read_stream(self, connection):
        stream = next((number for number, other in self.streams.items() if other is connection), None)
        if stream is None:  # closed meanwhile
            return
        try:
            data = connection.recv(LARGEST_DATA)
        except OSError:
            data = b""
        if data:
            self.queue.append(("D", stream, data))
        else:
            self.close(stream)

    def send(self):
        """The next frame, or the last one again."""
        if self.unanswered is None and self.queue:
            kind, stream, data = self.queue.pop(0)
            Board.number = (Board.number + 1) % 256
            self.unanswered = slip(bytes([ord(kind), stream, Board.number]) + data)
        elif self.unanswered is None or time.monotonic() - self.sent_at < RESEND_SECONDS:
            return
        self.sent_at = time.monotonic()
        try:
            self.serial.sendall(self.unanswered)
        except ConnectionError:
            pass  # read_serial() finds its end


def main():
    listener = socket.create_server(("127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 0))
    print(f"port: {listener.getsockname()[1]}", flush=True)
    while True:
        serial, _ = listener.accept()
        serial.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with serial:
            Board(serial).serve()


if __name__ == "__main__":
    main()
