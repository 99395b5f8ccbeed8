"""A client with one thread for all its sessions, each of which asks again as soon as it has its answer. sysbench has
a thread for each: with 2,000 it takes five times the CPU a query that it takes with 64, on the same cores as what is
measured, and what it shows then is itself. Here a query costs the client the same however many sessions there are."""

import random
import resource
import select
import time

# How long all of them ask before it counts: connections are made, plans and caches filled.
WARM_SECONDS = 1
# What asks are taken from: made beforehand, so that the client costs little.
QUESTIONS = 4096
# How long the packet is that ends columns, and rows.
END = b"\x05\0\0"
SEED = 1


def questions(rows):
    numbers = random.Random(SEED)
    asks = [b"\x03SELECT c FROM sbtest1 WHERE id=%d" % numbers.randint(1, rows) for _ in range(QUESTIONS)]
    return [len(ask).to_bytes(3, "little") + b"\0" + ask for ask in asks]


def is_whole(answer):
    """Whether an answer has its last packet, the rows' end after the columns'."""
    assert answer[4:5] != b"\xff", answer
    return answer[-5:-4] == b"\xfe" and answer[-9:-6] == END and answer.count(END) >= 2


def run(sessions, rows, seconds, cpu):
    """All sessions ask; `cpu` tells processes' CPU time. Answers a second, that CPU time for each and the client's own, µs,
    and the fewest answers that a session had ÷ the mean."""
    asks, poll = questions(rows), select.epoll()
    sockets = {session.socket.fileno(): session.socket for session in sessions}
    answers, rest = dict.fromkeys(sockets, 0), dict.fromkeys(sockets, b"")
    for number, (fd, one) in enumerate(sockets.items()):
        one.setblocking(False)
        poll.register(fd, select.EPOLLIN)
        one.send(asks[number % QUESTIONS])
    number, counted_from = 0, None
    now = began = time.monotonic()
    while counted_from is None or now < counted_from + seconds:
        for fd, _ in poll.poll(60):
            piece = sockets[fd].recv(65536)
            assert piece, "the connection was closed"
            answer = rest[fd] + piece
            if not is_whole(answer):
                rest[fd] = answer
                continue
            rest[fd] = b""
            answers[fd] += 1
            number += 1
            sockets[fd].send(asks[number % QUESTIONS])
        now = time.monotonic()
        if counted_from is None and now >= began + WARM_SECONDS:
            counted_from, before, own, first = now, cpu(), own_seconds(), dict(answers)
    used, own = cpu() - before, own_seconds() - own
    had = [answers[fd] - first[fd] for fd in sockets]
    total = max(sum(had), 1)
    return {"qps": total / (now - counted_from), "cpu_us": used / total * 1e6, "client_us": own / total * 1e6,
            "fewest": min(had) / (total / len(had))}


def own_seconds():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
