//! Random statements over the oracle's tables, so that changes begin at forms that no file has.

/// A generator with a seed: a failure can be repeated.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from((self.0 >> 11) % limit.max(1) as u64).unwrap()
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }
}

const TABLES: &[&str] = &["t1", "t2", "dim", "s1", "kinds"];
const COLUMNS: &[&str] =
    &["id", "grp", "name", "amount", "qty", "t1_id", "score", "code", "label", "k", "c_dt", "`v`"];
const OPERATORS: &[&str] = &[
    "+",
    "-",
    "*",
    "/",
    "DIV",
    "%",
    "=",
    "<=>",
    "<>",
    "<",
    ">=",
    "AND",
    "OR",
    "XOR",
    "||",
    "&",
    "|",
    "<<",
    "^",
    "LIKE",
    "REGEXP",
    "IS NOT NULL =",
    "COLLATE utf8mb4_bin =",
];
const FUNCTIONS: &[&str] = &[
    "COUNT",
    "SUM",
    "MAX",
    "GROUP_CONCAT",
    "CONCAT",
    "COALESCE",
    "LENGTH",
    "DATE_FORMAT",
    "IFNULL",
    "JSON_EXTRACT",
    "ROW_NUMBER",
    "LAG",
];

/// How deep expressions and queries nest.
const DEPTH: usize = 3;

pub fn statement(random: &mut Random) -> String {
    match random.below(10) {
        0 => insert(random),
        1 => {
            let (table, column) = (random.one(TABLES), random.one(COLUMNS));
            let (value, condition) = (expression(random, DEPTH), expression(random, DEPTH));
            format!("UPDATE {table} SET {column} = {value} WHERE {condition} LIMIT 3")
        }
        2 => {
            let (a, b) = (random.one(TABLES), random.one(TABLES));
            let on = expression(random, 2);
            format!("DELETE x FROM {a} AS x JOIN {b} AS y ON {on} WHERE x.id = 3")
        }
        3 => format!("EXPLAIN {}", query(random, DEPTH)),
        _ => query(random, DEPTH),
    }
}

fn insert(random: &mut Random) -> String {
    let word = random.one(&["INSERT INTO", "REPLACE INTO", "INSERT IGNORE"]);
    let (table, a, b) = (random.one(TABLES), random.one(COLUMNS), random.one(COLUMNS));
    let source = if random.below(3) == 0 {
        query(random, 2)
    } else {
        let rows: Vec<String> = (0..=random.below(4))
            .map(|_| format!("({}, {})", expression(random, 1), expression(random, 1)))
            .collect();
        format!("VALUES {}", rows.join(", "))
    };
    let tail = random.one(&["", "", " ON DUPLICATE KEY UPDATE id = VALUES(id)", " RETURNING *"]);
    format!("{word} {table} ({a}, {b}) {source}{tail}")
}

fn query(random: &mut Random, depth: usize) -> String {
    if depth > 0 && random.below(6) == 0 {
        let word = random.one(&["UNION", "UNION ALL", "EXCEPT", "INTERSECT"]);
        return format!("({}) {word} ({})", query(random, depth - 1), query(random, depth - 1));
    }
    if depth > 0 && random.below(8) == 0 {
        let inner = query(random, depth - 1);
        return format!("WITH w AS ({inner}) SELECT * FROM w, ({}) AS q", query(random, depth - 1));
    }
    let items: Vec<String> = (0..=random.below(3)).map(|_| expression(random, depth)).collect();
    let mut sql = format!("SELECT {} FROM {}", items.join(", "), tables(random, depth));
    if random.below(2) == 0 {
        sql += &format!(" WHERE {}", expression(random, depth));
    }
    if random.below(3) == 0 {
        sql += &format!(" GROUP BY {} {}", expression(random, 1), random.one(&["", "WITH ROLLUP"]));
        sql += &format!(" HAVING {}", expression(random, 1));
    }
    if random.below(3) == 0 {
        sql += &format!(" ORDER BY {} {}", expression(random, 1), random.one(&["", "DESC"]));
    }
    if random.below(3) == 0 {
        sql += random.one(&[" LIMIT 5", " LIMIT 2, 5", " LIMIT ? OFFSET ?", " FOR UPDATE"]);
    }
    sql
}

fn tables(random: &mut Random, depth: usize) -> String {
    let table = match random.below(if depth > 0 { 5 } else { 3 }) {
        3 => format!("({}) AS d", query(random, depth - 1)),
        4 => format!("LATERAL ({}) AS l", query(random, depth - 1)),
        _ => random.one(TABLES).to_owned(),
    };
    if depth == 0 || random.below(2) == 0 {
        return table;
    }
    let join = random.one(&["JOIN", "LEFT JOIN", "RIGHT JOIN", "STRAIGHT_JOIN"]);
    let right = tables(random, depth - 1);
    format!("{table} {join} ({right}) ON {}", expression(random, 1))
}

fn expression(random: &mut Random, depth: usize) -> String {
    if depth == 0 || random.below(3) == 0 {
        return match random.below(6) {
            0 => random.below(100).to_string(),
            1 => "'it''s'".to_owned(),
            2 => random.one(&["NULL", "?", "@v", "DATE '2024-01-01'", "0x41", "1.5e3"]).to_owned(),
            3 => format!("{}.{}", random.one(TABLES), random.one(COLUMNS)),
            _ => random.one(COLUMNS).to_owned(),
        };
    }
    let (a, b) = (expression(random, depth - 1), expression(random, depth - 1));
    match random.below(9) {
        0 => format!("({})", query(random, depth - 1)),
        1 => format!("(({a}) IN ({}))", query(random, depth - 1)),
        2 => format!("EXISTS ({})", query(random, depth - 1)),
        3 => format!("CASE WHEN {a} THEN {b} ELSE 1 END"),
        4 => format!("{}({a}, {b})", random.one(FUNCTIONS)),
        5 => format!("SUM({a}) OVER (PARTITION BY {b} ORDER BY {a} ROWS 2 PRECEDING)"),
        6 => format!("(({a}) BETWEEN ({b}) AND 9)"),
        _ => format!("({a} {} {b})", random.one(OPERATORS)),
    }
}
