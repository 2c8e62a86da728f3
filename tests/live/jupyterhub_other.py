"""What another user of the machine tries."""
import json
import socket
import sys


def connect(address, port):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    s = socket.socket(family, socket.SOCK_STREAM)
    s.settimeout(5)
    s.connect((address, port))
    return s


def attempt(address, port, send):
    try:
        with connect(address, port) as s:
            if send:
                s.sendall(send)
            data = b""
            while len(data) < 4096:
                more = s.recv(4096)
                data += more
                if not more or not send or send[:1] != b"G":
                    break
            return data.decode("latin-1")[-60:] or "nothing"
    except OSError as error:
        return f"refused: {type(error).__name__}"


what, port, *addresses = sys.argv[1:]
if what == "bait":
    server = socket.create_server(("127.0.0.1", int(port)))
    while True:
        client, _ = server.accept()
        client.recv(4096)
        client.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: 4\r\n\r\nbait")
        client.close()
# ZeroMQ greets whoever connects.
send = b"GET / HTTP/1.0\r\n\r\n" if what == "get" else b"\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f"
print(json.dumps({address: attempt(address, int(port), send) for address in addresses}))
