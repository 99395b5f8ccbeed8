"""TPC-C's five transactions: its consistency conditions hold in the end, through a node and on each data node, and every order
and payment that was acknowledged is there, once."""

import pymysql
from loads import Load, Told, counted, refused, roll_back
from system import rows
from tpcc import Terminal, Wrong, make, violated

WAREHOUSES = 6


class Orders(Load):
    sessions = 12

    def __init__(self, session):
        super().__init__()
        make(session, WAREHOUSES)
        self.terminals = [Terminal(None, WAREHOUSES, seed) for seed in range(self.sessions)]
        self.payments, self.orders = Told(), {"acknowledged": set(), "in doubt": 0}
        self.wrong = 0

    def work(self, session):
        """One transaction."""
        terminal = self.terminals[session.number]
        transaction = terminal.choose()
        # As long as nothing says otherwise nothing was done.
        terminal.made, outcome = None, "failed"
        try:
            with session.connection.cursor() as cursor:
                cursor.execute("BEGIN")
                kept = transaction(cursor)
                outcome = "in doubt" if kept else "failed"
                cursor.execute("COMMIT" if kept else "ROLLBACK")
                outcome = "acknowledged" if kept else "failed"
        except Wrong as wrong:
            with self.lock:
                self.wrong += 1
            self.show(wrong)
            session.lose()
        except pymysql.MySQLError as error:
            outcome = "failed" if refused(error) else outcome
            roll_back(session)
        except Exception:  # noqa: BLE001 - a packet that broke off is no error of its own to the client library
            session.lose()
        self.note(transaction.__name__, terminal.made, outcome)

    def note(self, transaction, made, outcome):
        if made is None:
            return
        if transaction == "payment":
            self.payments[made] = outcome
        elif outcome == "acknowledged":
            with self.lock:
                # Two orders of one number cannot both be.
                self.wrong += made in self.orders[outcome]
                self.orders[outcome].add(made)
        elif outcome == "in doubt":
            with self.lock:
                self.orders[outcome] += 1

    def verdict(self, faults):
        session = faults.log_in(faults.hosts[0])
        figures = {}
        there = counted(session, "history", "h_data")
        # Those of the beginning.
        there.pop("h")
        self.payments.compare(figures, there)
        orders = set(rows(session, "SELECT o_w_id, o_d_id, o_id FROM orders"))
        figures["acknowledged"] += len(self.orders["acknowledged"])
        figures["in_doubt"] += self.orders["in doubt"]
        figures["lost"] += len(self.orders["acknowledged"] - orders)
        figures["wrong_reads"] = self.wrong
        broken = [("through a node", condition) for condition in violated(session)]
        for node in faults.system.endpoints["data_nodes"]:
            with faults.directly(node) as direct:
                for (name,) in rows(direct, "SHOW DATABASES"):
                    if not name.startswith(f"{faults.schema}_"):
                        continue
                    direct.select_db(name)
                    if rows(direct, "SHOW TABLES LIKE 'warehouse'"):
                        broken += [(name, condition) for condition in violated(direct)]
        for one in broken:
            self.show(one)
        figures["broken_conditions"] = len(broken)
        return figures
