"""Shows how asyncio behaves in trouble on uvloop; see internal/peer/behaviour.go."""

import argparse
import asyncio

import uvloop


class Server(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        if args.mode == "big":
            self.transport.write(b"0123456789abcdef" * (2 << 20))
        elif args.mode == "writev":
            self.transport.writelines([b"%03d" % (i % 1000) for i in range(1100)])
        if args.mode != "late":
            self.transport.close()

    def eof_received(self):
        if args.mode == "late":
            asyncio.get_running_loop().call_later(0.1, self.late)
            return True  # keep the connection

    def late(self):
        self.transport.write(b"late")
        self.transport.close()


async def serve():
    server = await asyncio.get_running_loop().create_server(Server, "127.0.0.1", 0)
    print("listening on 127.0.0.1:%d" % server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


async def dial():
    host, port = args.to.split(":")
    try:
        await asyncio.open_connection(host, int(port))
        print("outcome connected")
    except OSError as error:
        print("outcome error:", error)


parser = argparse.ArgumentParser()
parser.add_argument("-mode")
parser.add_argument("-to")
args = parser.parse_args()
uvloop.install()
asyncio.run(dial() if args.mode == "dial" else serve())
