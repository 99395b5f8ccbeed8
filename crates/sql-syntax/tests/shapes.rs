//! What a text means: how operators bind, and in what order parameters stand.
//! The planner draws conclusions from the tree's shape, so a wrong shape is a wrong result.
#![allow(clippy::unwrap_used)]

use sql_syntax::ast::{Expr, ExprKind, SelectItem, SetExpr, Statement, UnaryOp};
use sql_syntax::visit;
use sql_syntax::{LexMode, TokenBuf, TokenKind, parse, parse_one};

fn mode() -> LexMode {
    LexMode { server_version: 101_119, mariadb: true, ..LexMode::default() }
}

/// The expression in brackets as it binds; operands are the text itself.
fn bound(expr: &Expr, src: &[u8]) -> String {
    let text = |e: &Expr| bound(e, src);
    let list = |items: &[Expr], word: &str| {
        format!("[{}]", items.iter().map(text).collect::<Vec<_>>().join(word))
    };
    match &expr.kind {
        ExprKind::And(items) => list(items, " AND "),
        ExprKind::Or(items) => list(items, " OR "),
        ExprKind::Binary { op, left, right } => format!("[{} {op:?} {}]", text(left), text(right)),
        ExprKind::Unary { op: UnaryOp::Not, expr } => format!("[NOT {}]", text(expr)),
        ExprKind::Unary { op, expr } => format!("[{op:?} {}]", text(expr)),
        ExprKind::Is { expr, not, test } => format!("[{} is {not} {test:?}]", text(expr)),
        ExprKind::Between { expr, low, high, .. } => {
            format!("[{} between {} and {}]", text(expr), text(low), text(high))
        }
        ExprKind::InList { expr, list: items, .. } => {
            format!("[{} in {}]", text(expr), list(items, ", "))
        }
        ExprKind::InQuery { expr, .. } => format!("[{} in query]", text(expr)),
        ExprKind::Like { expr, pattern, .. } => format!("[{} like {}]", text(expr), text(pattern)),
        _ => String::from_utf8_lossy(expr.span.of(src)).into_owned(),
    }
}

fn expression(text: &str, mode: &LexMode) -> String {
    let (mut buf, text) = (TokenBuf::new(), format!("SELECT {text}"));
    let src = text.as_bytes();
    let parsed = parse_one(src, 0, mode, &mut buf).unwrap_or_else(|e| panic!("{text}: {e}"));
    let Statement::Query(query) = &parsed.stmt else { panic!("{text}") };
    let SetExpr::Select(select) = &query.body else { panic!("{text}") };
    let [SelectItem::Expr { expr, .. }] = select.items.as_slice() else { panic!("{text}") };
    bound(expr, src)
}

#[test]
fn operators_bind_as_the_server_binds_them() {
    for (text, shape) in [
        ("a OR b AND c", "[a OR [b AND c]]"),
        ("a AND b OR c AND d", "[[a AND b] OR [c AND d]]"),
        ("a || b && c", "[a OR [b AND c]]"),
        ("a OR b XOR c AND d", "[a OR [b Xor [c AND d]]]"),
        ("NOT a = b AND c", "[[NOT [a Eq b]] AND c]"),
        ("NOT a IN (1)", "[NOT [a in [1]]]"),
        ("NOT a IS NULL", "[NOT [a is false Null]]"),
        ("! a = b", "[[Bang a] Eq b]"),
        ("a = b IS NULL", "[[a Eq b] is false Null]"),
        ("a = b = c", "[[a Eq b] Eq c]"),
        ("a = b IN (1)", "[a Eq [b in [1]]]"),
        ("a BETWEEN 1 AND 2 AND b", "[[a between 1 and 2] AND b]"),
        ("a BETWEEN b + 1 AND c | 2 OR d", "[[a between [b Add 1] and [c BitOr 2]] OR d]"),
        ("a LIKE b AND c", "[[a like b] AND c]"),
        ("a LIKE b + 1", "[a like [b Add 1]]"),
        ("1 - 2 - 3", "[[1 Sub 2] Sub 3]"),
        ("1 + 2 * 3 ^ 4", "[1 Add [2 Mul [3 BitXor 4]]]"),
        ("a DIV b MOD c", "[[a IntDiv b] Mod c]"),
        ("a | b & c << d + e", "[a BitOr [b BitAnd [c Shl [d Add e]]]]"),
        ("- a ^ b", "[[Minus a] BitXor b]"),
        ("- a -> '$.b'", "[Minus [a JsonExtract '$.b']]"),
        ("a < b + 1", "[a Lt [b Add 1]]"),
        ("a <=> NULL OR b", "[[a NullSafeEq NULL] OR b]"),
        ("a + INTERVAL 1 DAY > b", "[[a Add INTERVAL 1 DAY] Gt b]"),
        ("a IN ((SELECT 1))", "[a in query]"),
        ("a IN ((SELECT 1), 2)", "[a in [(SELECT 1), 2]]"),
    ] {
        assert_eq!(expression(text, &mode()), shape, "{text}");
    }
}

#[test]
fn settings_change_how_operators_bind() {
    let concat = LexMode { pipes_as_concat: true, ..mode() };
    assert_eq!(expression("a || b = c", &concat), "[[a Concat b] Eq c]");
    assert_eq!(expression("a || b = c", &mode()), "[a OR [b Eq c]]");
    let tight = LexMode { high_not_precedence: true, ..mode() };
    assert_eq!(expression("NOT a = b", &tight), "[[NOT a] Eq b]");
}

#[test]
fn every_parameter_has_its_place() {
    let mut buf = TokenBuf::new();
    for text in [
        "SELECT ?, a + ? FROM t WHERE b IN (?, ?) AND c BETWEEN ? AND ? LIMIT ?, ?",
        "INSERT INTO t (a, b) VALUES (?, ?), (?, 1) ON DUPLICATE KEY UPDATE a = ?",
        "SELECT CONVERT(?, CHAR), CAST(? AS UNSIGNED), CHAR(? USING utf8), TRIM(BOTH ? FROM ?)",
        "SELECT * FROM JSON_TABLE(?, '$' COLUMNS (a INT PATH '$.a')) j WHERE a = ?",
        "DELETE FROM a, b USING a JOIN b WHERE a.x = ? LIMIT ?",
        "SELECT SUM(?) OVER (ORDER BY a ROWS BETWEEN ? PRECEDING AND CURRENT ROW) FROM t",
        "HANDLER t READ k = (?) LIMIT ?",
        "SELECT JSON_VALUE(?, '$.a' RETURNING CHAR DEFAULT ? ON EMPTY), ?",
    ] {
        let parsed = parse_one(text.as_bytes(), 0, &mode(), &mut buf)
            .unwrap_or_else(|e| panic!("{text}: {e}"));
        let written: Vec<u32> = (0..buf.tokens().len() as u32)
            .filter(|tok| buf.tokens()[*tok as usize].kind == TokenKind::Param)
            .collect();
        assert_eq!(parsed.params, written, "{text}");
    }
}

#[test]
fn a_buffer_without_tokens_is_an_empty_statement() {
    let parsed = parse(b"", &TokenBuf::new(), &mode()).unwrap();
    assert_eq!(parsed.stmt, Statement::Empty);
}

#[test]
fn a_limit_is_a_number_and_a_joins_on_is_its_own() {
    let mut buf = TokenBuf::new();
    for text in ["SELECT 1 LIMIT 1 + 1", "SELECT 1 LIMIT -1", "SELECT 1 LIMIT 'a'"] {
        assert!(parse_one(text.as_bytes(), 0, &mode(), &mut buf).is_err(), "{text}");
    }
    let text = b"INSERT INTO t SELECT a.x FROM a JOIN b ON DUPLICATE KEY UPDATE x = 1";
    let parsed = parse_one(text, 0, &mode(), &mut buf).unwrap();
    let Statement::Insert(insert) = parsed.stmt else { panic!("no INSERT") };
    assert_eq!(insert.on_duplicate.len(), 1);
}

/// The tables that a walk tells of, those of WITH marked.
fn tables(text: &str) -> String {
    tables_under(text, &mode())
}

fn tables_under(text: &str, mode: &LexMode) -> String {
    let mut buf = TokenBuf::new();
    let parsed =
        parse_one(text.as_bytes(), 0, mode, &mut buf).unwrap_or_else(|e| panic!("{text}: {e}"));
    let mut found = Vec::new();
    visit::for_each_table(&parsed.stmt, text.as_bytes(), |site| {
        let name = String::from_utf8_lossy(site.name.span.of(text.as_bytes())).into_owned();
        found.push(if site.is_cte { format!("{name}*") } else { name });
    });
    found.join(" ")
}

/// A named query that is taken for a table is refused; a table that is taken for a named query would
/// escape the checks of permissions.
#[test]
fn a_table_is_not_hidden_by_a_named_query() {
    for (text, found) in [
        ("WITH t AS (SELECT 1) SELECT * FROM t", "t*"),
        ("WITH t AS (SELECT * FROM t) SELECT * FROM t", "t t*"),
        ("WITH RECURSIVE t AS (SELECT 1 UNION SELECT * FROM t) SELECT * FROM t", "t* t*"),
        ("WITH a AS (SELECT * FROM b), b AS (SELECT * FROM a) SELECT * FROM b", "b a* b*"),
        ("WITH t AS (SELECT 1) SELECT * FROM db.t", "db.t"),
        ("SELECT * FROM (WITH t AS (SELECT 1) SELECT * FROM t) d, t", "t* t"),
        ("SELECT * FROM t WHERE a IN (WITH t AS (SELECT 1) SELECT * FROM t)", "t t*"),
        ("WITH T AS (SELECT 1) SELECT * FROM `t`", "`t`*"),
        ("WITH t AS (SELECT 1) DELETE FROM u WHERE a IN (SELECT * FROM t)", "u t*"),
        ("INSERT INTO t WITH t AS (SELECT 1) SELECT * FROM t", "t t*"),
        ("WITH t AS (WITH t AS (SELECT * FROM t) SELECT * FROM t) SELECT * FROM t", "t t* t*"),
    ] {
        assert_eq!(tables(text), found, "{text}");
    }
}

#[test]
fn every_table_is_named_wherever_it_stands() {
    for (text, found) in [
        (
            "SELECT * FROM t, JSON_TABLE(t.a, '$' COLUMNS (x INT PATH '$.x', NESTED PATH '$.y' \
             COLUMNS (z INT PATH '$.z' DEFAULT '1' ON EMPTY))) AS j JOIN u",
            "t u",
        ),
        ("SELECT * FROM t, LATERAL (SELECT * FROM u WHERE u.a = t.a) AS d", "t u"),
        ("SELECT * FROM (a, b) LEFT JOIN (c JOIN d ON c.x = d.x) ON 1", "a b c d"),
        ("SELECT * FROM ((SELECT x FROM a) UNION (SELECT x FROM b) LIMIT 1) AS d", "a b"),
        ("SELECT * FROM (((SELECT x FROM a))) AS d, b", "a b"),
        (
            "SELECT * FROM a FORCE INDEX (i), b USE INDEX () IGNORE KEY FOR JOIN (i, PRIMARY), c",
            "a b c",
        ),
        ("SELECT * FROM {OJ a LEFT JOIN b ON a.x = b.x}", "a b"),
        ("SELECT * FROM a NATURAL LEFT JOIN b STRAIGHT_JOIN c USING (x)", "a b c"),
        ("TABLE a UNION VALUES ROW(1), ROW(2) EXCEPT ALL TABLE b", "a b"),
        ("SELECT 1 FROM a WHERE x IN ((SELECT x FROM b) UNION (SELECT x FROM c))", "a b c"),
        (
            "SELECT (SELECT x FROM a), EXISTS ((SELECT 1 FROM b)), y > ALL (SELECT x FROM c)",
            "a b c",
        ),
        (
            "SELECT 1 FROM a GROUP BY (SELECT 1 FROM b) WITH ROLLUP HAVING (SELECT 1 FROM c)",
            "a b c",
        ),
        ("SELECT SUM(x) OVER w FROM a WINDOW w AS (ORDER BY (SELECT 1 FROM b))", "a b"),
        (
            "SELECT * FROM a FOR SYSTEM_TIME AS OF TIMESTAMP now(6) AS x, b FOR SYSTEM_TIME ALL",
            "a b",
        ),
        ("SELECT * FROM a PARTITION (p0) AS x JOIN b ON x.y IN (SELECT y FROM c)", "a c b"),
        (
            "UPDATE a FOR PORTION OF p FROM '2000-01-01' TO '2001-01-01' SET x = (SELECT 1 FROM b)",
            "a b",
        ),
        ("DELETE HISTORY FROM a BEFORE SYSTEM_TIME '2000-01-01'", "a"),
        ("DELETE x, b.* FROM a AS x JOIN b USING (id) WHERE x.id IN (TABLE c)", "x b a b c"),
        ("INSERT INTO a TABLE b ON DUPLICATE KEY UPDATE x = (SELECT 1 FROM c)", "a b c"),
        ("INSERT INTO a VALUES (1) RETURNING x, (SELECT 1 FROM b)", "a b"),
        ("SELECT 1 FROM a PROCEDURE ANALYSE()", "a"),
        ("ALTER TABLE a CONVERT TABLE b TO PARTITION p VALUES IN (1)", "a b"),
    ] {
        let mut seen: Vec<String> = tables(text).split(' ').map(str::to_owned).collect();
        let mut wanted: Vec<&str> = found.split(' ').collect();
        seen.sort();
        wanted.sort_unstable();
        assert_eq!(seen, wanted, "{text}");
    }
}

/// Each server has its own idea of which comments with a version it runs.
#[test]
fn comments_with_a_version_are_part_of_the_statement() {
    let text = "SELECT /*+ MAX_EXECUTION_TIME(9) */ * FROM a /*! , b */ /*M!100100 , c */ \
                /*!50701 , d */ /*!50600 , e */ /*!999999 , f */ /* , g */ -- , h";
    let mysql = LexMode { server_version: 80_033, mariadb: false, ..mode() };
    assert_eq!(tables(text), "a b c e");
    assert_eq!(tables_under(text, &mysql), "a b d e");
    let ansi = LexMode { ansi_quotes: true, ..mode() };
    assert_eq!(tables_under(r#"SELECT 'x' FROM "a", `b`, c"#, &ansi), r#""a" `b` c"#);
    assert_eq!(tables("SELECT 1 --1 FROM b"), "b");
}

/// Operands and operators as they bind.
fn chained(body: &SetExpr, src: &[u8]) -> String {
    match body {
        SetExpr::SetOp(chain) => {
            let mut text = chained(&chain.first, src);
            for next in &chain.rest {
                let all = if next.all { " all" } else { "" };
                text += &format!(" {:?}{all} {}", next.op, chained(&next.operand, src));
            }
            format!("[{text}]")
        }
        SetExpr::Paren(query, _) => format!("({})", chained(&query.body, src)),
        other => String::from_utf8_lossy(other.span().of(src)).into_owned(),
    }
}

#[test]
fn intersect_binds_tighter_than_union_and_except() {
    let mut buf = TokenBuf::new();
    for (text, shape) in [
        ("TABLE a UNION TABLE b INTERSECT TABLE c", "[TABLE a Union [TABLE b Intersect TABLE c]]"),
        (
            "TABLE a INTERSECT ALL TABLE b EXCEPT TABLE c",
            "[[TABLE a Intersect all TABLE b] Except TABLE c]",
        ),
        (
            "TABLE a UNION ALL TABLE b EXCEPT ALL TABLE c",
            "[TABLE a Union all TABLE b Except all TABLE c]",
        ),
        ("TABLE a EXCEPT (TABLE b UNION TABLE c)", "[TABLE a Except ([TABLE b Union TABLE c])]"),
    ] {
        let parsed = parse_one(text.as_bytes(), 0, &mode(), &mut buf).unwrap();
        let Statement::Query(query) = &parsed.stmt else { panic!("{text}") };
        assert_eq!(chained(&query.body, text.as_bytes()), shape);
    }
}
