"""Serves lines on a free port of 127.0.0.1, which it prints: in plaintext an
echo up to "STARTTLS", and then over TLS; or over TLS from the first on. "drop"
closes the connection, without close_notify as Tornado does. It ends with its
standard input. Arguments: certificate, key, "tls" or "starttls"."""
import asyncio
import ssl
import sys

from tornado.iostream import StreamClosedError
from tornado.netutil import bind_sockets
from tornado.tcpserver import TCPServer


class LineServer(TCPServer):
    async def handle_stream(self, stream, address):
        try:
            while True:
                line = await stream.read_until(b"\n", max_bytes=2 << 20)
                if line == b"STARTTLS\n":
                    await stream.write(b"go ahead\n")
                    stream = await stream.start_tls(True, context)
                elif line == b"drop\n":
                    stream.close()
                elif line == b"bytes\n":
                    await stream.write(await stream.read_bytes(1_000_000))
                else:
                    await stream.write(line)
        except StreamClosedError:
            pass


context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
context.load_cert_chain(sys.argv[1], sys.argv[2])


async def main():
    options = {"ssl_options": context} if sys.argv[3] == "tls" else {}
    server = LineServer(max_buffer_size=16 << 20, **options)
    sockets = bind_sockets(0, "127.0.0.1")
    server.add_sockets(sockets)
    print(sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    server.stop()


asyncio.run(main())
