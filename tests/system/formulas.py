"""The sharding formulas, written from the product's rules a second time and independently of the
product's code, so that a direct look at the data nodes can say where a row must lie."""

import datetime
import zlib


def crc_slot(text, parts):
    number = zlib.crc32(str(text).encode()) % 102400
    return min(number // (102400 // parts), parts - 1)


def java_hash(text):
    value = 0
    data = text.encode("utf-16-be")
    for at in range(0, len(data), 2):
        value = (31 * value + (data[at] << 8 | data[at + 1])) & 0xFFFFFFFF
    return value - (1 << 32) if value & 0x80000000 else value


def yyyymm(day):
    return day.year * 12 + day.month


def yyyydd(day):
    return day.year * 366 + day.timetuple().tm_yday


def yyyyweek(day):
    year, week, _ = day.isocalendar()
    return year * 54 + week


def day_of_week(day):
    return day.isoweekday() % 7 + 1


def combined(number, shards, tables):
    whole = abs(number) % (shards * tables)
    return whole // tables, whole % tables


DAY0 = datetime.date(2020, 1, 1)


def day_of(i):
    return DAY0 + datetime.timedelta(days=i % 1500)


# name, columns and clause, the key value of row i, (shard, suffix) of that value for 8 shards
ALGORITHMS = [
    ("a_mod_hash", "k BIGINT NOT NULL", "DBPARTITION BY MOD_HASH(k)", lambda i: i * 7, lambda v: (abs(v) % 8, None)),
    ("a_mod_hash_text", "k VARCHAR(40) NOT NULL", "DBPARTITION BY MOD_HASH(k) TBPARTITION BY MOD_HASH(k) TBPARTITIONS 3",
     lambda i: f"user_{i}", lambda v: combined(java_hash(v), 8, 3)),
    ("a_mod_hash_ci", "k VARCHAR(40) NOT NULL", "DBPARTITION BY MOD_HASH_CI(k)", lambda i: f"User-{i}",
     lambda v: (abs(java_hash(v.upper())) % 8, None)),
    ("a_hash", "k INT NOT NULL", "DBPARTITION BY HASH(k)", lambda i: i, lambda v: (crc_slot(v, 8), None)),
    ("a_hash_both", "k INT NOT NULL", "DBPARTITION BY HASH(k) TBPARTITION BY HASH(k) TBPARTITIONS 4", lambda i: i,
     lambda v: (crc_slot(v, 8), crc_slot(v, 4))),
    ("a_hash_year", "k DATE NOT NULL", "DBPARTITION BY HASH(YEAR(k))", day_of, lambda v: (crc_slot(v.year, 8), None)),
    ("a_range", "k INT NOT NULL", "DBPARTITION BY RANGE(k) {1-2000=0, 2001-4000=1, 4001-6000=2, default=7}", lambda i: i,
     lambda v: (0 if 1 <= v <= 2000 else 1 if 2001 <= v <= 4000 else 2 if 4001 <= v <= 6000 else 7, None)),
    ("a_right_shift", "k BIGINT NOT NULL", "DBPARTITION BY RIGHT_SHIFT(k, 4)", lambda i: i * 13, lambda v: ((v >> 4) % 8, None)),
    ("a_yyyymm", "k DATE NOT NULL", "DBPARTITION BY YYYYMM(k) TBPARTITION BY YYYYMM(k) TBPARTITIONS 3", day_of,
     lambda v: combined(yyyymm(v), 8, 3)),
    ("a_yyyydd", "k DATE NOT NULL", "DBPARTITION BY YYYYDD(k)", day_of, lambda v: (yyyydd(v) % 8, None)),
    ("a_yyyyweek", "k DATETIME NOT NULL", "DBPARTITION BY YYYYWEEK(k)", day_of, lambda v: (yyyyweek(v) % 8, None)),
    ("a_mm", "k DATE NOT NULL", "DBPARTITION BY YYYYMM(k) TBPARTITION BY MM(k) TBPARTITIONS 12", day_of,
     lambda v: (yyyymm(v) % 8, v.month % 12)),
    ("a_dd", "k DATE NOT NULL", "DBPARTITION BY YYYYMM(k) TBPARTITION BY DD(k) TBPARTITIONS 31", day_of,
     lambda v: (yyyymm(v) % 8, v.day % 31)),
    ("a_mmdd", "k DATE NOT NULL", "DBPARTITION BY YYYYMM(k) TBPARTITION BY MMDD(k) TBPARTITIONS 20", day_of,
     lambda v: (yyyymm(v) % 8, v.timetuple().tm_yday % 20)),
    ("a_week", "k DATE NOT NULL", "DBPARTITION BY YYYYMM(k) TBPARTITION BY WEEK(k) TBPARTITIONS 7", day_of,
     lambda v: (yyyymm(v) % 8, day_of_week(v) % 7)),
]
