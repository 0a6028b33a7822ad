"""Talks to an echo server of lines, in plaintext up to "STARTTLS" and then over
TLS, or over TLS from the first on. Arguments: port, certificate, "tls" or
"starttls"."""
import asyncio
import ssl
import sys

from tornado.tcpclient import TCPClient


async def main(port, certificate, mode):
    context = ssl.create_default_context(cafile=certificate)
    if mode == "tls":
        stream = await TCPClient().connect("localhost", port, ssl_options=context)
    else:
        plain = await TCPClient().connect("localhost", port)
        await plain.write(b"plain\n")
        assert await plain.read_until(b"\n") == b"plain\n"
        await plain.write(b"STARTTLS\n")
        assert await plain.read_until(b"\n") == b"go ahead\n"
        stream = await plain.start_tls(False, context, "localhost")

    await stream.write(b"one\ntwo\nthr")
    assert await stream.read_until(b"\n") == b"one\n"
    assert await stream.read_until(b"\n") == b"two\n"
    await stream.write(b"ee\n")
    assert await stream.read_until_regex(rb"\n") == b"three\n"
    big = b"x" * 999_999 + b"\n"
    stream.write(big)
    assert await stream.read_bytes(len(big)) == big
    await stream.write(b"flood\n")
    flood = await stream.read_until_close()
    assert flood == b"f" * (4 << 20), len(flood)
    print("done")


asyncio.run(main(int(sys.argv[1]), sys.argv[2], sys.argv[3]))
