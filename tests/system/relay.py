"""A TCP relay whose connections can be cut in the middle of a packet, delayed, held and refused, in a thread
of its own."""

import asyncio
import threading

CHUNK = 64 * 1024


class Relay:
    """From a free port of this machine, or from a listening socket, to an address."""

    def __init__(self, host, port, listener=None):
        self.target = (host, port)
        self.port = None
        self._listener = listener
        self._server = None
        self._links = set()
        self._delay = 0.0
        self._open = asyncio.Event()
        self._refusing = False
        self._loop = asyncio.new_event_loop()
        started = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(started,), daemon=True)
        self._thread.start()
        assert started.wait(10), "the relay starts"

    def _run(self, started):
        asyncio.set_event_loop(self._loop)

        async def listen():
            self._open.set()
            where = {"sock": self._listener} if self._listener else {"host": "127.0.0.1", "port": 0}
            self._server = await asyncio.start_server(self._serve, **where)
            self.port = self._server.sockets[0].getsockname()[1]

        self._loop.run_until_complete(listen())
        started.set()
        self._loop.run_forever()

    async def _serve(self, reader, writer):
        await self._open.wait()
        if self._refusing:
            writer.transport.abort()
            return
        try:
            there = await asyncio.open_connection(*self.target)
        except OSError:
            writer.transport.abort()
            return
        link = _Link((reader, writer), there)
        self._links.add(link)
        try:
            await asyncio.gather(self._pass(link, reader, there[1]), self._pass(link, there[0], writer))
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self._links.discard(link)
            link.abort()

    async def _pass(self, link, reader, writer):
        while data := await reader.read(CHUNK):
            if self._delay:
                await asyncio.sleep(self._delay)
            await self._open.wait()
            if link.cut:
                # Half of what is under way arrives.
                writer.write(data[: len(data) // 2])
                await writer.drain()
                break
            writer.write(data)
            await writer.drain()
        link.abort()

    def cut(self):
        """Every connection ends in the middle of the next packet that goes through it; how many there are."""
        def mark():
            for link in self._links:
                link.cut = True
            return len(self._links)
        return self._ask(mark)

    def delay(self, seconds):
        """Everything takes so much longer from now on."""
        self._ask(lambda: setattr(self, "_delay", seconds))

    def hold(self):
        """Nothing passes any more, and nothing is closed."""
        self._ask(self._open.clear)

    def refuse(self):
        """Every connection is reset, and so is every new one."""
        def end():
            self._refusing = True
            for link in self._links:
                link.abort()
        self._ask(end)

    def let_go(self):
        """All passes again, also what was held."""
        def begin():
            self._refusing = False
            self._open.set()
        self._ask(begin)

    def close(self):
        async def end():
            self._server.close()
            others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)
            self._loop.stop()

        asyncio.run_coroutine_threadsafe(end(), self._loop)
        self._thread.join(10)
        self._loop.close()

    def _ask(self, what):
        done = []
        ready = threading.Event()

        def run():
            done.append(what())
            ready.set()

        self._loop.call_soon_threadsafe(run)
        assert ready.wait(10), "the relay answers"
        return done[0]


class _Link:
    """One connection, both its sides."""

    def __init__(self, here, there):
        self.sides = (here[1], there[1])
        self.cut = False

    def abort(self):
        for writer in self.sides:
            writer.transport.abort()
