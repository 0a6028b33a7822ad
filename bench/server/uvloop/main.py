"""An echo server on asyncio's protocols, with uvloop as its loop."""

import argparse
import asyncio
import ssl
import sys

import uvloop


class Raw(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(data)

    def pause_writing(self):
        self.transport.pause_reading()

    def resume_writing(self):
        self.transport.resume_reading()


class Line(Raw):
    def connection_made(self, transport):
        super().connection_made(transport)
        self.begun = []  # pieces of a line

    def data_received(self, data):
        *lines, rest = data.split(b"\n")
        for line in lines:
            self.begun += (line, b"\n")
            self.transport.write(b"".join(self.begun))
            self.begun.clear()
        if rest:
            self.begun.append(rest)


class Broadcast(Line):
    everybody = set()

    def connection_made(self, transport):
        super().connection_made(transport)
        self.everybody.add(transport)
        transport.write(b"\n")

    def connection_lost(self, error):
        self.everybody.discard(self.transport)

    def data_received(self, data):
        for transport in self.everybody:
            transport.write(data)


async def main(protocol):
    context = None
    if args.tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain("bin/certificate.pem")
        context.num_tickets = 0
    loop = asyncio.get_running_loop()
    server = await loop.create_server(protocol, "127.0.0.1", 0, backlog=4096, ssl=context)
    print("listening on 127.0.0.1:%d" % server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


parser = argparse.ArgumentParser()
parser.add_argument("-mode", default="raw")
parser.add_argument("-tls", action="store_true")
args = parser.parse_args()
modes = {"raw": Raw, "line": Line, "broadcast": Broadcast}
if args.mode not in modes:
    print("no mode " + args.mode, file=sys.stderr)
    sys.exit(3)
uvloop.install()
asyncio.run(main(modes[args.mode]))
