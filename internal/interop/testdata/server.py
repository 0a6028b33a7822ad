"""Serves lines on a free port, which it prints: an echo; after "bytes" of the
million bytes that follow; to "flood" 4 MiB and the end; to "drop" the end. It
ends with its standard input."""
import asyncio
import sys

from tornado.iostream import StreamClosedError
from tornado.netutil import bind_sockets
from tornado.tcpserver import TCPServer


class LineServer(TCPServer):
    async def handle_stream(self, stream, address):
        try:
            while True:
                line = await stream.read_until(b"\n", max_bytes=2 << 20)
                if line == b"bytes\n":
                    await stream.write(await stream.read_bytes(1_000_000))
                elif line == b"flood\n":
                    await stream.write(b"f" * (4 << 20))
                    stream.close()
                elif line == b"drop\n":
                    stream.close()
                else:
                    await stream.write(line)
        except StreamClosedError:
            pass


async def main():
    server = LineServer(max_buffer_size=16 << 20)
    sockets = bind_sockets(0, "127.0.0.1")
    server.add_sockets(sockets)
    print(sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    server.stop()


asyncio.run(main())
