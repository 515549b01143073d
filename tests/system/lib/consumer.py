"""A consumer of a queue, as stomp.py has it: says on standard output what it has heard, then acknowledges it.

    consumer.py PORT QUEUE

Connects again when it is cut off. SIGTERM ends it in order: what it has acknowledged is settled then.
"""
import signal
import sys
import threading

import stomp


class Consumer(stomp.ConnectionListener):
    def __init__(self, connection):
        self.connection = connection
        self.lost = threading.Event()
        self.unsubscribed = threading.Event()

    def on_message(self, frame):
        print("heard", frame.body, flush=True)
        self.connection.ack(frame.headers["ack"])

    def on_receipt(self, frame):
        self.unsubscribed.set()

    def on_error(self, frame):
        print("ERROR", frame.headers.get("message"), flush=True)

    def on_disconnected(self):
        self.lost.set()


def consume(port, queue, ending):
    """One connection, until it is lost or the end is asked for."""
    connection = stomp.Connection12([("127.0.0.1", port)], reconnect_attempts_max=1)
    consumer = Consumer(connection)
    connection.set_listener("consumer", consumer)
    connection.connect(wait=True)
    connection.subscribe(queue, id="0", ack="client-individual", headers={"prefetch-count": "50"})
    print("subscribed", flush=True)
    while not consumer.lost.is_set() and not ending.wait(0.05):
        pass
    if ending.is_set():
        connection.unsubscribe(id="0", receipt="unsubscribed")
        consumer.unsubscribed.wait(10)
        connection.disconnect()


def main():
    port, queue = int(sys.argv[1]), sys.argv[2]
    ending = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ending.set())
    while not ending.is_set():
        try:
            consume(port, queue, ending)
        except stomp.exception.StompException as error:
            print("lost:", type(error).__name__, flush=True)
            ending.wait(0.05)


main()
