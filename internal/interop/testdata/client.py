"""Talks to an echo server of lines; the port is the argument."""
import asyncio
import sys

from tornado.iostream import StreamClosedError
from tornado.tcpclient import TCPClient


async def main(port):
    stream = await TCPClient().connect("127.0.0.1", port)
    stream.set_nodelay(True)

    # until a delimiter, several in one write, and one in pieces
    await stream.write(b"one\ntwo\nthr")
    assert await stream.read_until(b"\n") == b"one\n"
    assert await stream.read_until(b"\n") == b"two\n"
    for piece in (b"e", b"e", b"\n"):
        await asyncio.sleep(0.01)
        await stream.write(piece)
    assert await stream.read_until(b"\n") == b"three\n"

    # until a regular expression, and exactly n bytes, also many
    await stream.write(b"key: value\n")
    assert await stream.read_until_regex(rb": *") == b"key: "
    assert await stream.read_bytes(6) == b"value\n"
    big = b"x" * 999_999 + b"\n"
    stream.write(big)
    assert await stream.read_bytes(len(big)) == big
    await stream.write(b"some\n")
    assert (await stream.read_bytes(100, partial=True)) == b"some\n"

    # until the server closes, behind a large last message
    await stream.write(b"flood\n")
    flood = await stream.read_until_close()
    assert flood == b"f" * (4 << 20), len(flood)
    try:
        await stream.read_until(b"\n")
        raise AssertionError("read after close")
    except StreamClosedError:
        pass
    print("done")


asyncio.run(main(int(sys.argv[1])))
