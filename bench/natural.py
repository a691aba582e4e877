"""
usage: natural.py PORT UPSTREAM-HOST UPSTREAM-PORT WORKERS

The natural multiplexer with python-subunit's parts: a thread and a parser for each worker, one queue,
one writer. Ends with the last worker.
"""
import queue
import socket
import sys
import threading

from subunit.v2 import ByteStreamToStreamResult, StreamResultToBytes
from testtools.testresult.real import StreamToQueue

QUEUE_MOST = 10000


def read_worker(connection, events, route):
    result = StreamToQueue(events, route)
    result.startTestRun()
    ByteStreamToStreamResult(connection.makefile("rb"), non_subunit_name="stdout").run(result)
    result.stopTestRun()


def main():
    port, host, upstream_port, workers = sys.argv[1:]
    upstream = socket.create_connection((host, int(upstream_port)))
    writer = StreamResultToBytes(upstream.makefile("wb"))
    listener = socket.create_server(("", int(port)), backlog=1024)
    events = queue.Queue(QUEUE_MOST)

    def accept():
        for route in range(int(workers)):
            threading.Thread(target=read_worker, args=(listener.accept()[0], events, str(route))).start()

    threading.Thread(target=accept).start()
    running = int(workers)
    while running:
        event = events.get()
        kind = event.pop("event")
        if kind == "status":
            writer.status(**event)
        elif kind == "stopTestRun":
            running -= 1


main()
