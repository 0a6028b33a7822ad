"""An echo server on Tornado: one coroutine for each connection."""

import argparse
import ssl
import sys

import tornado.ioloop
import tornado.iostream
import tornado.netutil
import tornado.tcpserver


class Server(tornado.tcpserver.TCPServer):
    everybody = set()

    async def handle_stream(self, stream, address):
        stream.set_nodelay(True)
        serve = {"raw": self.raw, "line": self.line, "broadcast": self.broadcast}[args.mode]
        try:
            while True:
                await serve(stream)
        except tornado.iostream.StreamClosedError:
            self.everybody.discard(stream)

    async def raw(self, stream):
        await stream.write(await stream.read_bytes(65536, partial=True))

    async def line(self, stream):
        await stream.write(await stream.read_until(b"\n"))

    async def broadcast(self, stream):
        if stream not in self.everybody:
            self.everybody.add(stream)
            await stream.write(b"\n")
        line = await stream.read_until(b"\n")
        for to in list(self.everybody):
            to.write(line)


parser = argparse.ArgumentParser()
parser.add_argument("-mode", default="raw")
parser.add_argument("-tls", action="store_true")
args = parser.parse_args()
if args.mode not in ("raw", "line", "broadcast"):
    print("no mode " + args.mode, file=sys.stderr)
    sys.exit(3)
sockets = tornado.netutil.bind_sockets(0, "127.0.0.1", backlog=4096)
context = None
if args.tls:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain("bin/certificate.pem")
    context.num_tickets = 0
server = Server(ssl_options=context)
server.add_sockets(sockets)
print("listening on 127.0.0.1:%d" % sockets[0].getsockname()[1], flush=True)
tornado.ioloop.IOLoop.current().start()
