"""Asks the application something and prints the answer, with a reply address in place of /user/queue/answers.

    python3 ask.py DESTINATION BODY [HOST PORT]
"""
import sys
import threading

import stomp

PATIENCE_S = 5

destination, body = sys.argv[1:3]
host, port = (sys.argv[3], int(sys.argv[4])) if len(sys.argv) > 4 else ("127.0.0.1", 61613)


class Asker(stomp.ConnectionListener):
    def __init__(self):
        self.answer = None
        self.done = threading.Event()

    def on_message(self, frame):
        self.answer = frame.body
        self.done.set()

    def on_error(self, frame):
        self.answer = f"refused: {frame.headers['message']}"
        self.done.set()


connection = stomp.Connection12([(host, port)])
asker = Asker()
connection.set_listener("asker", asker)
connection.connect(wait=True)

# The server makes an address of this that reaches this connection and no other. There is no subscribe(): what is sent
# to the address arrives as a MESSAGE with subscription:/temp-queue/answers.
connection.send(destination, body, headers={"reply-to": "/temp-queue/answers"})

asker.done.wait(PATIENCE_S)
print("no answer" if asker.answer is None else asker.answer)
connection.disconnect()
