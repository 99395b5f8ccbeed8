"""TPC-C, small: its nine tables sharded by warehouse, its five transactions, its consistency conditions.

After the public specification, clauses 1.3 (tables), 2.4 to 2.8 (transactions) and 3.3.2 (conditions); the tables are
smaller (customers and items), which no condition depends on.
"""

import random
import time

import pymysql

DISTRICTS = 10
CUSTOMERS = 30
ITEMS = 100
FIRST_ORDERS = 30

TABLES = {
    "warehouse": ("w_id INT, w_name VARCHAR(10), w_tax DECIMAL(4,4), w_ytd DECIMAL(12,2), PRIMARY KEY (w_id)", "w_id"),
    "district": ("d_w_id INT, d_id INT, d_name VARCHAR(10), d_tax DECIMAL(4,4), d_ytd DECIMAL(12,2), d_next_o_id INT, "
                 "PRIMARY KEY (d_w_id, d_id)", "d_w_id"),
    "customer": ("c_w_id INT, c_d_id INT, c_id INT, c_first VARCHAR(16), c_last VARCHAR(16), c_credit CHAR(2), "
                 "c_discount DECIMAL(4,4), c_balance DECIMAL(12,2), c_ytd_payment DECIMAL(12,2), c_payment_cnt INT, "
                 "c_delivery_cnt INT, c_data VARCHAR(500), PRIMARY KEY (c_w_id, c_d_id, c_id), "
                 "KEY by_name (c_w_id, c_d_id, c_last, c_first)", "c_w_id"),
    "history": ("h_c_id INT, h_c_d_id INT, h_c_w_id INT, h_d_id INT, h_w_id INT, h_date DATETIME, "
                "h_amount DECIMAL(6,2), h_data VARCHAR(24), KEY by_district (h_w_id, h_d_id)", "h_w_id"),
    "orders": ("o_w_id INT, o_d_id INT, o_id INT, o_c_id INT, o_entry_d DATETIME, o_carrier_id INT, o_ol_cnt INT, "
               "o_all_local INT, PRIMARY KEY (o_w_id, o_d_id, o_id), KEY by_customer (o_w_id, o_d_id, o_c_id, o_id)",
               "o_w_id"),
    "new_order": ("no_w_id INT, no_d_id INT, no_o_id INT, PRIMARY KEY (no_w_id, no_d_id, no_o_id)", "no_w_id"),
    "order_line": ("ol_w_id INT, ol_d_id INT, ol_o_id INT, ol_number INT, ol_i_id INT, ol_supply_w_id INT, "
                   "ol_delivery_d DATETIME, ol_quantity INT, ol_amount DECIMAL(6,2), ol_dist_info CHAR(24), "
                   "PRIMARY KEY (ol_w_id, ol_d_id, ol_o_id, ol_number)", "ol_w_id"),
    "stock": ("s_w_id INT, s_i_id INT, s_quantity INT, s_dist CHAR(24), s_ytd INT, s_order_cnt INT, s_remote_cnt INT, "
              "PRIMARY KEY (s_w_id, s_i_id)", "s_w_id"),
    "item": ("i_id INT, i_name VARCHAR(24), i_price DECIMAL(5,2), i_data VARCHAR(50), PRIMARY KEY (i_id)", None),
}

# Each must give no row. 1 to 4 are the specification's first four, the others its 5 to 12 as far as the tables go.
CONDITIONS = {
    "1: W_YTD = sum(D_YTD)":
        "SELECT w_id, w_ytd, SUM(d_ytd) AS s FROM warehouse JOIN district ON d_w_id = w_id GROUP BY w_id, w_ytd "
        "HAVING w_ytd <> s",
    "2: D_NEXT_O_ID - 1 = max(O_ID)":
        "SELECT d_w_id, d_id, d_next_o_id, MAX(o_id) AS m FROM district JOIN orders ON o_w_id = d_w_id AND "
        "o_d_id = d_id GROUP BY d_w_id, d_id, d_next_o_id HAVING d_next_o_id - 1 <> m",
    "2: max(O_ID) = max(NO_O_ID)":
        "SELECT no_w_id, no_d_id, MAX(no_o_id) AS m, MAX(d_next_o_id) AS n FROM new_order JOIN district ON "
        "d_w_id = no_w_id AND d_id = no_d_id GROUP BY no_w_id, no_d_id HAVING n - 1 <> m",
    "3: max(NO_O_ID) - min(NO_O_ID) + 1 = count":
        "SELECT no_w_id, no_d_id, MAX(no_o_id) - MIN(no_o_id) + 1 AS a, COUNT(*) AS b FROM new_order "
        "GROUP BY no_w_id, no_d_id HAVING a <> b",
    "4: sum(O_OL_CNT) = count of order lines":
        "SELECT a.w, a.d, a.n, b.n FROM (SELECT o_w_id AS w, o_d_id AS d, SUM(o_ol_cnt) AS n FROM orders "
        "GROUP BY o_w_id, o_d_id) a JOIN (SELECT ol_w_id AS w, ol_d_id AS d, COUNT(*) AS n FROM order_line "
        "GROUP BY ol_w_id, ol_d_id) b ON a.w = b.w AND a.d = b.d WHERE a.n <> b.n",
    "5: no carrier = a new order":
        "SELECT o_w_id, o_d_id, o_id FROM orders LEFT JOIN new_order ON no_w_id = o_w_id AND no_d_id = o_d_id AND "
        "no_o_id = o_id WHERE (o_carrier_id IS NULL) <> (no_o_id IS NOT NULL)",
    "6: O_OL_CNT = lines of the order":
        "SELECT o_w_id, o_d_id, o_id, o_ol_cnt, COUNT(ol_number) AS n FROM orders LEFT JOIN order_line ON "
        "ol_w_id = o_w_id AND ol_d_id = o_d_id AND ol_o_id = o_id GROUP BY o_w_id, o_d_id, o_id, o_ol_cnt "
        "HAVING o_ol_cnt <> n",
    "7: delivered lines = orders with a carrier":
        "SELECT ol_w_id, ol_d_id, ol_o_id FROM order_line JOIN orders ON o_w_id = ol_w_id AND o_d_id = ol_d_id AND "
        "o_id = ol_o_id WHERE (ol_delivery_d IS NULL) <> (o_carrier_id IS NULL)",
    "8: W_YTD = sum(H_AMOUNT)":
        "SELECT w_id, w_ytd, s FROM warehouse JOIN (SELECT h_w_id, SUM(h_amount) AS s FROM history GROUP BY h_w_id) h "
        "ON h_w_id = w_id WHERE w_ytd <> s",
    "9: D_YTD = sum(H_AMOUNT)":
        "SELECT d_w_id, d_id, d_ytd, s FROM district JOIN (SELECT h_w_id, h_d_id, SUM(h_amount) AS s FROM history "
        "GROUP BY h_w_id, h_d_id) h ON h_w_id = d_w_id AND h_d_id = d_id WHERE d_ytd <> s",
    "12: C_BALANCE + C_YTD_PAYMENT = sum of delivered lines":
        "SELECT c_w_id, c_d_id, c_id, c_balance + c_ytd_payment AS a, COALESCE(SUM(ol_amount), 0) AS b FROM customer "
        "LEFT JOIN orders ON o_w_id = c_w_id AND o_d_id = c_d_id AND o_c_id = c_id LEFT JOIN order_line ON "
        "ol_w_id = o_w_id AND ol_d_id = o_d_id AND ol_o_id = o_id AND ol_delivery_d IS NOT NULL "
        "GROUP BY c_w_id, c_d_id, c_id, c_balance, c_ytd_payment HAVING a <> b",
}


def name(number):
    """A last name as clause 4.3.2.3 builds it."""
    parts = ["BAR", "OUGHT", "ABLE", "PRI", "PRES", "ESE", "ANTI", "CALLY", "ATION", "EING"]
    return parts[number // 100 % 10] + parts[number // 10 % 10] + parts[number % 10]


def make(connection, warehouses, seed=1):
    """Makes and fills the tables through DDM."""
    chance = random.Random(seed)
    with connection.cursor() as cursor:
        for table, (columns, key) in TABLES.items():
            clause = f"DBPARTITION BY MOD_HASH({key})" if key else "BROADCAST"
            cursor.execute(f"CREATE TABLE {table} ({columns}) {clause}")
        fill(cursor, "item", [(i, f"item {i}", chance.randint(100, 10000) / 100, "data") for i in range(1, ITEMS + 1)])
        for w in range(1, warehouses + 1):
            fill(cursor, "warehouse", [(w, f"w{w}", 0.1, 10 * DISTRICTS * CUSTOMERS)])
            fill(cursor, "stock", [(w, i, chance.randint(10, 100), "dist", 0, 0, 0) for i in range(1, ITEMS + 1)])
            for d in range(1, DISTRICTS + 1):
                district(cursor, chance, w, d)


def district(cursor, chance, w, d):
    fill(cursor, "district", [(w, d, f"d{d}", 0.05, 10 * CUSTOMERS, FIRST_ORDERS + 1)])
    people = range(1, CUSTOMERS + 1)
    fill(cursor, "customer", [(w, d, c, f"f{c}", name(c - 1), "GC", 0.1, -10, 10, 1, 0, "x") for c in people])
    fill(cursor, "history", [(c, d, w, d, w, "2024-01-01 00:00:00", 10, "h") for c in people])
    orders, lines, new = [], [], []
    for number, customer in enumerate(chance.sample(people, FIRST_ORDERS), start=1):
        delivered = number <= FIRST_ORDERS * 7 // 10
        count = chance.randint(5, 15)
        orders.append((w, d, number, customer, "2024-01-01 00:00:00", 1 if delivered else None, count, 1))
        when, amount = ("2024-01-01 00:00:00", 0) if delivered else (None, 1.25)
        lines += [(w, d, number, n, chance.randint(1, ITEMS), w, when, 5, amount, "i") for n in range(1, count + 1)]
        if not delivered:
            new.append((w, d, number))
    fill(cursor, "orders", orders)
    fill(cursor, "order_line", lines)
    fill(cursor, "new_order", new)


def fill(cursor, table, rows):
    cursor.executemany(f"INSERT INTO {table} VALUES ({', '.join(['%s'] * len(rows[0]))})", rows)


class Wrong(Exception):
    """Something is there that no transaction can leave, or is not."""


def violated(connection):
    """The conditions that do not hold."""
    found = []
    with connection.cursor() as cursor:
        for condition, sql in CONDITIONS.items():
            cursor.execute(sql)
            if shown := cursor.fetchall():
                found.append((condition, shown[:3]))
    return found


class Terminal:
    """One user: picks transactions by the specification's mix and runs each until it commits."""

    def __init__(self, connect, warehouses, seed):
        self.connect, self.warehouses = connect, warehouses
        self.chance = random.Random(seed)
        self.session = None
        self.done = {}
        self.again = 0
        self.lost = 0
        self.seed, self.payments = seed, 0
        # What the last new order or payment made: the order's key, the payment's row in the history.
        self.made = None

    def choose(self):
        return self.chance.choice([self.new_order] * 45 + [self.payment] * 43 + [self.order_status] * 4 + [self.delivery] * 4 + [
            self.stock_level] * 4)

    def run(self, until):
        """Runs until this moment of time.monotonic()."""
        while time.monotonic() < until:
            self.attempt(self.choose(), until)
        if self.session:
            self.session.close()

    def attempt(self, transaction, until):
        """A transaction that is chosen as a victim or loses its connection is run again."""
        state = self.chance.getstate()
        while time.monotonic() < until + 10:
            self.chance.setstate(state)
            try:
                if self.session is None:
                    self.session = self.connect()
                with self.session.cursor() as cursor:
                    cursor.execute("BEGIN")
                    kept = transaction(cursor)
                    cursor.execute("COMMIT" if kept else "ROLLBACK")
                key = transaction.__name__
                self.done[key] = self.done.get(key, 0) + 1
                return
            except pymysql.MySQLError as error:
                self.recover(error)

    def recover(self, error):
        if error.args[0] in (1205, 1213, 3572):
            self.again += 1
            with self.session.cursor() as cursor:
                cursor.execute("ROLLBACK")
            return
        # A lost data node connection ends a transaction; whether its COMMIT took place is known to the conditions.
        self.lost += 1
        try:
            self.session.close()
        except pymysql.MySQLError:
            pass
        self.session = None
        time.sleep(0.1)

    def place(self):
        return self.chance.randint(1, self.warehouses), self.chance.randint(1, DISTRICTS)

    def one(self, cursor, sql, *arguments):
        cursor.execute(sql, arguments)
        return cursor.fetchone()

    def there(self, cursor, sql, *arguments):
        """A row that must be there."""
        if (row := self.one(cursor, sql, *arguments)) is None:
            raise Wrong(sql % arguments)
        return row

    def new_order(self, cursor):
        w, d = self.place()
        customer = self.chance.randint(1, CUSTOMERS)
        tax = self.there(cursor, "SELECT w_tax, c_discount FROM warehouse JOIN customer ON c_w_id = w_id WHERE w_id = %s "
                       "AND c_d_id = %s AND c_id = %s", w, d, customer)
        number, _ = self.there(cursor, "SELECT d_next_o_id, d_tax FROM district WHERE d_w_id = %s AND d_id = %s "
                             "FOR UPDATE", w, d)
        cursor.execute("UPDATE district SET d_next_o_id = d_next_o_id + 1 WHERE d_w_id = %s AND d_id = %s", (w, d))
        count = self.chance.randint(5, 15)
        wanted = []
        for line in range(1, count + 1):
            remote = self.warehouses > 1 and self.chance.random() < 0.1
            supply = self.chance.choice([x for x in range(1, self.warehouses + 1) if x != w]) if remote else w
            wanted.append((self.chance.randint(1, ITEMS), supply, self.chance.randint(1, 10), line))
        local = int(all(supply == w for _, supply, _, _ in wanted))
        cursor.execute("INSERT INTO orders VALUES (%s, %s, %s, %s, NOW(), NULL, %s, %s)",
                       (w, d, number, customer, count, local))
        cursor.execute("INSERT INTO new_order VALUES (%s, %s, %s)", (w, d, number))
        self.made = (w, d, number)
        if self.chance.random() < 0.01:
            return False  # an item that is not there: the user's own rollback
        for item, supply, quantity, line in sorted(wanted):
            price = self.there(cursor, "SELECT i_price FROM item WHERE i_id = %s", item)[0]
            stock = self.there(cursor, "SELECT s_quantity, s_dist FROM stock WHERE s_w_id = %s AND s_i_id = %s "
                             "FOR UPDATE", supply, item)[0]
            left = stock - quantity if stock >= quantity + 10 else stock - quantity + 91
            cursor.execute("UPDATE stock SET s_quantity = %s, s_ytd = s_ytd + %s, s_order_cnt = s_order_cnt + 1, "
                           "s_remote_cnt = s_remote_cnt + %s WHERE s_w_id = %s AND s_i_id = %s",
                           (left, quantity, int(supply != w), supply, item))
            cursor.execute("INSERT INTO order_line VALUES (%s, %s, %s, %s, %s, %s, NULL, %s, %s, 'i')",
                           (w, d, number, line, item, supply, quantity, price * quantity))
        return tax is not None

    def payment(self, cursor):
        w, d = self.place()
        amount = self.chance.randint(100, 500000) / 100
        cw, cd = (w, d) if self.chance.random() < 0.85 else self.place()
        cursor.execute("UPDATE warehouse SET w_ytd = w_ytd + %s WHERE w_id = %s", (amount, w))
        cursor.execute("UPDATE district SET d_ytd = d_ytd + %s WHERE d_w_id = %s AND d_id = %s", (amount, w, d))
        customer = self.customer(cursor, cw, cd)
        cursor.execute("UPDATE customer SET c_balance = c_balance - %s, c_ytd_payment = c_ytd_payment + %s, "
                       "c_payment_cnt = c_payment_cnt + 1 WHERE c_w_id = %s AND c_d_id = %s AND c_id = %s",
                       (amount, amount, cw, cd, customer))
        self.payments += 1
        self.made = f"{self.seed} {self.payments}"
        cursor.execute("INSERT INTO history VALUES (%s, %s, %s, %s, %s, NOW(), %s, %s)",
                       (customer, cd, cw, d, w, amount, self.made))
        return True

    def customer(self, cursor, w, d):
        number = self.chance.randint(1, CUSTOMERS)
        if self.chance.random() < 0.4:
            return number
        cursor.execute("SELECT c_id FROM customer WHERE c_w_id = %s AND c_d_id = %s AND c_last = %s ORDER BY c_first",
                       (w, d, name(number - 1)))
        found = cursor.fetchall()
        return found[len(found) // 2][0]

    def order_status(self, cursor):
        w, d = self.place()
        customer = self.customer(cursor, w, d)
        last = self.one(cursor, "SELECT o_id, o_carrier_id FROM orders WHERE o_w_id = %s AND o_d_id = %s AND "
                        "o_c_id = %s ORDER BY o_id DESC LIMIT 1", w, d, customer)
        if last:
            cursor.execute("SELECT ol_i_id, ol_amount FROM order_line WHERE ol_w_id = %s AND ol_d_id = %s AND "
                           "ol_o_id = %s", (w, d, last[0]))
            if not cursor.fetchall():
                raise Wrong(f"the order {w} {d} {last[0]} has no lines")
        return True

    def delivery(self, cursor):
        w = self.chance.randint(1, self.warehouses)
        for d in range(1, DISTRICTS + 1):
            first = self.one(cursor, "SELECT no_o_id FROM new_order WHERE no_w_id = %s AND no_d_id = %s "
                             "ORDER BY no_o_id LIMIT 2 FOR UPDATE", w, d)
            # One is left, so that the second condition has something to compare.
            rest = cursor.fetchone()
            if first is None or rest is None:
                continue
            number = first[0]
            cursor.execute("DELETE FROM new_order WHERE no_w_id = %s AND no_d_id = %s AND no_o_id = %s", (w, d, number))
            if cursor.rowcount != 1:
                raise Wrong(f"the new order {w} {d} {number} was there and is gone")
            # The newest, as the new order was; the snapshot may be older than both.
            customer = self.there(cursor, "SELECT o_c_id FROM orders WHERE o_w_id = %s AND o_d_id = %s AND o_id = %s "
                                  "FOR UPDATE", w, d, number)[0]
            cursor.execute("UPDATE orders SET o_carrier_id = %s WHERE o_w_id = %s AND o_d_id = %s AND o_id = %s",
                           (self.chance.randint(1, 10), w, d, number))
            cursor.execute("UPDATE order_line SET ol_delivery_d = NOW() WHERE ol_w_id = %s AND ol_d_id = %s AND "
                           "ol_o_id = %s", (w, d, number))
            total = self.there(cursor, "SELECT SUM(ol_amount) FROM order_line WHERE ol_w_id = %s AND ol_d_id = %s AND "
                             "ol_o_id = %s", w, d, number)[0]
            cursor.execute("UPDATE customer SET c_balance = c_balance + %s, c_delivery_cnt = c_delivery_cnt + 1 "
                           "WHERE c_w_id = %s AND c_d_id = %s AND c_id = %s", (total, w, d, customer))
        return True

    def stock_level(self, cursor):
        w, d = self.place()
        following = self.there(cursor, "SELECT d_next_o_id FROM district WHERE d_w_id = %s AND d_id = %s", w, d)[0]
        self.one(cursor, "SELECT COUNT(DISTINCT s_i_id) FROM order_line JOIN stock ON s_w_id = ol_w_id AND "
                 "s_i_id = ol_i_id WHERE ol_w_id = %s AND ol_d_id = %s AND ol_o_id >= %s AND s_quantity < %s",
                 w, d, following - 20, self.chance.randint(10, 20))
        return True
