"""Looks for anomalies in a history of transactions that append to lists and read them: what was read shows in which order
values were appended, the order shows which transaction came before which, and a cycle among them shows what no serial
execution can give. The kinds are Adya's: G0 (only writes follow each other), G1a (a value of a transaction that was rolled
back), G1b (a value that its own transaction had replaced), G1c (writes and reads of writes), G-single (one read that
missed a write), G2 (several). Beside them: `order` (two reads that contradict each other), `twice` (a value appended once
is there twice), `lost` (an acknowledged value is not in the last read), `own` (a transaction does not see itself)."""

from collections import defaultdict

OK, FAILED, UNKNOWN = "ok", "failed", "unknown"


class Transaction:
    """`steps` are ("append", key, value) and ("read", key, values); of one that failed or is unknown also those before."""

    def __init__(self, outcome, *steps):
        self.outcome, self.steps = outcome, steps

    def __repr__(self):
        return f"{self.outcome}: {self.steps}"


def find(history, final=None):
    """The kinds of anomalies of a history, each with an example. `final` are the lists after its end."""
    found = {}
    writers = {}
    for transaction in history:
        for kind, key, value in transaction.steps:
            if kind == "append":
                assert (key, value) not in writers, "a value is appended once"
                writers[key, value] = transaction
    read = [(one, key, list(values)) for one in history if one.outcome == OK
            for kind, key, values in one.steps if kind == "read"]
    order = orders(read, final or {}, found)
    for one, key, values in read:
        check_values(one, key, values, writers, found)
    check_own(history, found)
    if final is not None:
        for (key, value), writer in writers.items():
            if writer.outcome == OK and value not in final.get(key, []):
                found.setdefault("lost", (key, value, writer))
            if writer.outcome == FAILED and value in final.get(key, []):
                found.setdefault("G1a", (key, value, writer))
    edges = dependencies(read, order, writers)
    for kind, cycle in cycles(edges):
        found.setdefault(kind, cycle)
    return found


def orders(read, final, found):
    """The order of each key's values: the longest that was read, of which all others are beginnings."""
    order = {key: list(values) for key, values in final.items()}
    for _, key, values in read:
        if len(values) >= len(order.get(key, [])):
            order[key] = values
    for one, key, values in read:
        if order[key][:len(values)] != values:
            found.setdefault("order", (key, values, order[key], one))
    for key, values in order.items():
        if len(set(values)) < len(values):
            found.setdefault("twice", (key, values))
    return order


def check_values(one, key, values, writers, found):
    for value in values:
        writer = writers.get((key, value))
        if writer is None or writer.outcome == FAILED:
            found.setdefault("G1a", (key, value, one))
    writer = writers.get((key, values[-1])) if values else None
    if writer is not None and writer is not one:
        last = [value for kind, k, value in writer.steps if kind == "append" and k == key][-1]
        if last != values[-1]:
            found.setdefault("G1b", (key, values[-1], one))


def check_own(history, found):
    """What a transaction appended is the end of what it reads afterwards."""
    for one in history:
        mine = defaultdict(list)
        for kind, key, value in one.steps if one.outcome == OK else ():
            if kind == "append":
                mine[key].append(value)
            elif mine[key] and list(value)[-len(mine[key]):] != mine[key]:
                found.setdefault("own", (key, value, one))


def dependencies(read, order, writers):
    """Edges between transactions: (from, to) with their kinds, by the transactions' ids."""
    edges = defaultdict(set)

    def add(before, after, kind):
        if before is not None and after is not None and before is not after:
            edges[before, after].add(kind)

    for key, values in order.items():
        for before, after in zip(values, values[1:]):
            add(writers.get((key, before)), writers.get((key, after)), "ww")
    for one, key, values in read:
        if order[key][:len(values)] != values:
            continue
        if values:
            add(writers.get((key, values[-1])), one, "wr")
        # The first that it did not see of another.
        for value in order[key][len(values):]:
            if writers.get((key, value)) is not one:
                add(one, writers.get((key, value)), "rw")
                break
    return edges


def cycles(edges):
    """The kinds of cycles, each with an example of transactions."""
    only = {kind: {pair for pair, kinds in edges.items() if kind in kinds} for kind in ("ww", "wr", "rw")}
    found = []
    for _, component in components(only["ww"]):
        found.append(("G0", component))
    for inside, component in components(only["ww"] | only["wr"]):
        if any(pair in only["wr"] and pair not in only["ww"] for pair in inside):
            found.append(("G1c", component))
    forward = successors(only["ww"] | only["wr"])
    for inside, component in components(only["ww"] | only["wr"] | only["rw"]):
        missed = [pair for pair in inside if edges[pair] == {"rw"}]
        for before, after in missed:
            way = path(forward, after, before)
            found.append(("G-single", [before, *way]) if way else ("G2", component))
    return found


def successors(pairs):
    after = defaultdict(set)
    for one, other in pairs:
        after[one].add(other)
    return after


def path(after, start, end):
    """A way along the edges, if there is one."""
    before, waiting = {start: None}, [start]
    while waiting:
        at = waiting.pop()
        if at is end:
            way = []
            while at is not None:
                way.append(at)
                at = before[at]
            return way[::-1]
        for one in after[at]:
            if one not in before:
                before[one] = at
                waiting.append(one)
    return None


def components(pairs):
    """The strongly connected components of more than one transaction, each with its edges (Tarjan's, without recursion)."""
    after = successors(pairs)
    index, low, on_stack, stack, all_found = {}, {}, set(), [], []
    for root in list(after):
        if root in index:
            continue
        work = [(root, iter(after[root]))]
        index[root] = low[root] = len(index)
        stack.append(root)
        on_stack.add(root)
        while work:
            at, rest = work[-1]
            for one in rest:
                if one not in index:
                    index[one] = low[one] = len(index)
                    stack.append(one)
                    on_stack.add(one)
                    work.append((one, iter(after[one])))
                    break
                if one in on_stack:
                    low[at] = min(low[at], index[one])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[at])
                if low[at] == index[at]:
                    component = []
                    while True:
                        one = stack.pop()
                        on_stack.discard(one)
                        component.append(one)
                        if one is at:
                            break
                    if len(component) > 1:
                        members = set(component)
                        inside = {pair for pair in pairs if pair[0] in members and pair[1] in members}
                        all_found.append((inside, component))
    return all_found
