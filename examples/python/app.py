"""The application of ../node/app.mjs in Python, with stomp.py over plain TCP.

    python3 app.py [HOST PORT]

Start as many of it as you like, on any node, beside those in Node if you want: each message goes to one of them.
"""
import json
import signal
import sys
import threading
import time

import stomp

HOST, PORT = (sys.argv[1], int(sys.argv[2])) if len(sys.argv) > 2 else ("127.0.0.1", 61613)


def add(body):
    numbers = json.loads(body)
    if not isinstance(numbers, list) or not all(type(number) in (int, float) for number in numbers):
        raise ValueError("not a list of numbers")
    return str(sum(numbers))


# What this application can do: a destination, and the answer to a message's body.
HANDLERS = {
    "/app/greet": lambda body: f"Hello, {body}!",
    "/app/add": add,
}


def answer_to(headers):
    """Where the answer goes. `user` and `session` were set by the server; nobody can send in another's name."""
    if "reply-to" in headers:
        return {"destination": headers["reply-to"]}  # where the asker wants it
    if "user" in headers:
        # All pages of this user. With `session` too, only the page that asked. In a destination a name's "/" would look
        # like the end of the name.
        name = headers["user"].replace("%", "%25").replace("/", "%2F")
        return {"destination": f"/user/{name}/queue/answers"}
    return {"destination": "/user//queue/answers", "session": headers["session"]}  # a guest has no name, but a session


class Application(stomp.ConnectionListener):
    def __init__(self, connection, lost):
        self.connection = connection
        self.lost = lost

    def on_message(self, frame):
        """stomp.py calls this on a thread of its own, one message after the other.

        We answer first and acknowledge then. If this process dies between the two, another one gets the message again
        (with redelivered:true) and answers twice. The other way round the answer could be lost. To have both or
        neither, put them into a transaction: connection.begin().
        """
        headers = frame.headers
        destination = headers["destination"]
        try:
            # The connection does not decode bodies (auto_decode=False): one that is not UTF-8 would end this thread.
            body = HANDLERS[destination](frame.body.decode())
            to = answer_to(headers)
            if "correlation-id" in headers:
                to["correlation-id"] = headers["correlation-id"]  # so that the asker knows what this is the answer to
            self.connection.send(to.pop("destination"), body, headers=to)
            self.connection.ack(headers["ack"])
            print(f"answered {destination}", flush=True)
        except (KeyError, ValueError) as error:
            # It would fail each time, so it must not come back: with requeue:false it goes to /queue/app.dead, where
            # somebody can look at it. For what may work later, nack() without it gives it back, to be delivered again.
            self.connection.nack(headers["ack"], requeue="false")
            print(f"rejected {destination}: {error}", flush=True)

    def on_error(self, frame):
        print(f"the server says: {frame.headers.get('message')}", file=sys.stderr, flush=True)

    def on_disconnected(self):
        self.lost.set()


def serve(ending):
    """One connection, until it is lost or the end is asked for. stomp.py does not connect again by itself."""
    lost = threading.Event()
    connection = stomp.Connection12([(HOST, PORT)], heartbeats=(10000, 10000), auto_decode=False)
    connection.set_listener("application", Application(connection, lost))
    connection.connect("application", "secret", wait=True)
    # The pattern is that of the conf file's section, which names this user in app-consumers. We acknowledge each
    # message by itself, and get no more than ten at a time; so others get their share when we are busy.
    connection.subscribe("/app/**", id="0", ack="client-individual", headers={"prefetch-count": "10"})
    print("waiting for messages to /app/**", flush=True)
    while not lost.is_set() and not ending.wait(0.2):
        pass
    if not lost.is_set():
        connection.disconnect()  # what we have not acknowledged goes to others


def main():
    ending = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ending.set())
    while not ending.is_set():
        try:
            serve(ending)
        except stomp.exception.StompException as error:
            print(f"not connected: {type(error).__name__}", file=sys.stderr, flush=True)
            time.sleep(1)


main()
