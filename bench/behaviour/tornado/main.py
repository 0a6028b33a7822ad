"""Shows how Tornado behaves in trouble; see internal/peer/behaviour.go."""

import argparse
import asyncio
import sys

import tornado.ioloop
import tornado.netutil
import tornado.tcpclient
import tornado.tcpserver


class Server(tornado.tcpserver.TCPServer):
    async def handle_stream(self, stream, address):
        try:
            await stream.read_bytes(1)
            if args.mode == "late":
                await stream.read_until_close()
                await asyncio.sleep(0.1)
                await stream.write(b"late")
            else:
                await stream.write(b"0123456789abcdef" * (2 << 20))
            stream.close()
        except tornado.iostream.StreamClosedError:
            pass


async def dial():
    host, port = args.to.split(":")
    try:
        await tornado.tcpclient.TCPClient().connect(host, int(port))
        print("outcome connected")
    except OSError as error:
        print("outcome error:", getattr(error, "real_error", None) or error)


parser = argparse.ArgumentParser()
parser.add_argument("-mode")
parser.add_argument("-to")
args = parser.parse_args()
if args.mode not in ("late", "big", "dial"):
    print("no mode " + args.mode, file=sys.stderr)
    sys.exit(3)
if args.mode == "dial":
    tornado.ioloop.IOLoop.current().run_sync(dial)
    sys.exit()
sockets = tornado.netutil.bind_sockets(0, "127.0.0.1")
server = Server()
server.add_sockets(sockets)
print("listening on 127.0.0.1:%d" % sockets[0].getsockname()[1], flush=True)
tornado.ioloop.IOLoop.current().start()
