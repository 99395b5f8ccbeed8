//! One connection against a real server: login, the raw and the convenient road, prepared
//! statements, session state, files, time limits.
#![allow(clippy::unwrap_used)]

mod support;

use mysql_wire::response::{Event, ResponseKind};
use mysql_wire::row::decode_binary_row;
use mysql_wire::temporal::{DateValue, TimeValue};
use mysql_wire::text_to_binary::text_row_to_binary;
use mysql_wire::value::Value;
use node_backend::answer::Taken;
use node_backend::local_data::{load_statement, put_row};
use node_backend::{
    BackendError, ConnectOptions, Connection, KillTarget, QueryResult, SessionState, StreamHead,
    kill,
};
use std::sync::Arc;
use std::time::{Duration, Instant};
use support::{Server, one};

fn is_send<T: Send>(_: &T) {}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_on_one_server() {
    let server = Server::start().await;
    logins(&server).await;
    for deprecate_eof in [true, false] {
        let mut options = server.options();
        options.deprecate_eof = deprecate_eof;
        let mut connection = Connection::connect(&options).await.unwrap();
        assert_eq!(connection.deprecates_eof(), deprecate_eof);
        queries(&mut connection).await;
        pipeline(&mut connection).await;
        whole_answers(&mut connection).await;
        long_rows(&mut connection).await;
        prepared(&mut connection).await;
        files(&mut connection).await;
        assert!(connection.is_idle() && connection.idle_socket_alive());
    }
    loaded_rows_are_exact(&server).await;
    literals(&server).await;
    sessions(&server).await;
    // Every connection said goodbye.
    let aborted =
        second(&mut server.connect().await, "SHOW GLOBAL STATUS LIKE 'Aborted_clients'").await;
    assert_eq!(aborted, "0");
    unwanted_files(&server).await;
    limits(&server).await;
    flags(&server).await;
}

/// The second field of the first row.
async fn second(connection: &mut Connection, sql: &str) -> String {
    connection.query(sql.as_bytes()).await.unwrap().into_rows()[0].text(1).unwrap()
}

async fn logins(server: &Server) {
    let connection = server.connect().await;
    is_send(&connection);
    assert!(connection.is_mariadb() && connection.server_version().starts_with("1"));
    assert_eq!(connection.address(), format!("127.0.0.1:{}", server.port));
    let mut wrong = server.options();
    wrong.password = base::secret::Secret::new("wrong");
    match Connection::connect(&wrong).await {
        Err(BackendError::AuthFailed { source, .. }) => assert_eq!(source.number, 1045),
        other => panic!("{other:?}"),
    }
    let mut wrong = server.options();
    wrong.database = Some("nowhere".to_owned());
    let error = Connection::connect(&wrong).await.unwrap_err();
    assert_eq!(error.server().unwrap().number, 1049);
    let mut wrong = server.options();
    wrong.port = 1;
    assert!(matches!(Connection::connect(&wrong).await, Err(BackendError::Unreachable { .. })));
    let mut options = server.options();
    options.attributes.push(("program_name".to_owned(), "test".to_owned()));
    options.session = Arc::new(SessionState::default().with("sql_mode", "'ANSI_QUOTES'"));
    let mut connection = Connection::connect(&options).await.unwrap();
    assert_eq!(one(&mut connection, "SELECT @@sql_mode").await, "ANSI_QUOTES");
}

async fn queries(connection: &mut Connection) {
    connection
        .execute_sql(b"CREATE OR REPLACE TABLE q (id INT PRIMARY KEY AUTO_INCREMENT, v VARCHAR(9))")
        .await
        .unwrap();
    match connection.query(b"INSERT INTO q (v) VALUES ('a'), (NULL), ('')").await.unwrap() {
        QueryResult::Ok(ok) => {
            assert_eq!((ok.affected_rows, ok.last_insert_id), (3, 1));
            assert!(ok.info.starts_with(b"Records: 3"));
        }
        other => panic!("{other:?}"),
    }
    let QueryResult::Rows(set) =
        connection.query(b"SELECT id, v FROM q ORDER BY id").await.unwrap()
    else {
        panic!("no rows")
    };
    assert_eq!(set.columns[1].org_table, b"q");
    let fields: Vec<_> = set.rows.iter().map(|row| row.text(1)).collect();
    assert_eq!(fields, [Some("a".to_owned()), None, Some(String::new())]);
    // An error leaves the connection as it was, also one in the second of several statements.
    for sql in ["SELECT nothing FROM q", "SELECT 1; SELECT nothing FROM q; SELECT 2"] {
        let error = connection.query(sql.as_bytes()).await.unwrap_err();
        assert_eq!(error.server().unwrap().number, 1054, "{sql}");
        assert!(connection.is_idle());
    }
    // Several results one by one.
    let StreamHead::Rows(_) =
        connection.query_stream(b"SELECT 1; DELETE FROM q WHERE id=1; SELECT 2, 3").await.unwrap()
    else {
        panic!("no rows")
    };
    assert_eq!(connection.next_row().await.unwrap().unwrap().text(0).unwrap(), "1");
    assert!(connection.next_row().await.unwrap().is_none());
    assert!(connection.stream_end().is_some());
    match connection.next_result().await.unwrap() {
        Some(StreamHead::Ok { ok, last: false }) => assert_eq!(ok.affected_rows, 1),
        other => panic!("{other:?}"),
    }
    assert!(
        matches!(connection.next_result().await.unwrap(), Some(StreamHead::Rows(c)) if c.len() == 2)
    );
    assert!(connection.next_result().await.unwrap().is_none());
    assert!(connection.is_idle());
    connection.execute_sql(b"BEGIN").await.unwrap();
    assert!(connection.in_transaction());
    connection.execute_sql(b"ROLLBACK").await.unwrap();
    assert!(!connection.in_transaction());
    connection.ping().await.unwrap();
    connection.init_db("mysql").await.unwrap();
    assert_eq!(one(connection, "SELECT DATABASE()").await, "mysql");
    connection.init_db("t").await.unwrap();
    assert!(connection.init_db("nowhere").await.is_err() && connection.is_idle());
}

/// Many statements are written before the first answer is read. Each answer is its own.
async fn pipeline(connection: &mut Connection) {
    for number in 0..300 {
        match number % 3 {
            0 => connection.queue_query(format!("SELECT {number} AS n").as_bytes()),
            1 => connection.queue_query(b"SELECT * FROM not_there"),
            _ => connection.queue(ResponseKind::Simple, &[&[0x0E]]),
        }
    }
    connection.flush().await.unwrap();
    assert_eq!(connection.outstanding(), 300);
    for number in 0..300 {
        let mut events = Vec::new();
        let mut row = Vec::new();
        loop {
            let piece = connection.next_piece().await.unwrap();
            events.push(piece.event);
            if piece.event == Event::Rows {
                row = piece.frames[5..].to_vec();
            }
            if piece.last {
                break;
            }
        }
        match number % 3 {
            0 => assert_eq!(row, number.to_string().as_bytes()),
            1 => assert!(matches!(events[..], [Event::Err { number: 1146, .. }])),
            _ => assert!(matches!(events[..], [Event::Ok(_)])),
        }
    }
    assert!(connection.is_idle());
    assert!(matches!(connection.next_piece().await, Err(BackendError::Unexpected(_))));
    // Twelve megabytes each way at once: neither side may wait for the other for ever.
    let text = "x".repeat(200_000);
    for _ in 0..60 {
        connection.queue_query(format!("SELECT '{text}'").as_bytes());
    }
    connection.flush().await.unwrap();
    for _ in 0..60 {
        assert!(matches!(connection.open_stream().await.unwrap(), StreamHead::Rows(_)));
        assert_eq!(connection.next_row().await.unwrap().unwrap().get(0).unwrap().len(), text.len());
        assert!(connection.next_row().await.unwrap().is_none());
    }
    assert!(connection.is_idle());
}

/// A row of more than one frame, between short ones, on both roads.
/// An answer as it comes in pieces: its bytes, and those of its rows.
async fn in_pieces(connection: &mut Connection, sql: &str) -> (Vec<u8>, Vec<u8>) {
    connection.queue_query(sql.as_bytes());
    let (mut bytes, mut rows) = (Vec::new(), Vec::new());
    loop {
        let piece = connection.next_piece().await.unwrap();
        bytes.extend_from_slice(piece.frames);
        if piece.event == Event::Rows {
            rows.extend_from_slice(piece.frames);
        }
        if piece.last {
            return (bytes, rows);
        }
    }
}

/// So long an answer is awaited whole.
const MAX: usize = 64 * 1024;

async fn next_answer(connection: &mut Connection, plain: impl Fn(Event) -> bool) -> Taken {
    loop {
        match connection.try_answer(MAX, &plain).unwrap() {
            Some(taken) => return taken,
            None => connection.read_more().await.unwrap(),
        }
    }
}

/// Answers that are awaited whole, many of them sent at once: they end up where reads do not.
async fn whole_answers(connection: &mut Connection) {
    let texts = [
        "SELECT 1",
        "SELECT seq, REPEAT('x', 100) FROM seq_1_to_100",
        "SELECT nothing",
        "SELECT seq, REPEAT('x', seq) FROM seq_1_to_300",
        "SELECT 1 WHERE FALSE",
        "DO 1",
    ];
    let mut expected = Vec::new();
    for text in texts {
        expected.push(in_pieces(connection, text).await);
    }
    let turns: Vec<usize> = (0..60).map(|turn| turn % texts.len()).collect();
    turns.iter().for_each(|at| connection.queue_query(texts[*at].as_bytes()));
    for at in turns {
        let taken = next_answer(connection, |_| true).await;
        let (bytes, rows) = &expected[at];
        assert!(taken.last && connection.given() == bytes, "{}", texts[at]);
        let found = taken.rows.map(|at| (&bytes[at.from..at.from + at.bytes], at.frames));
        let count = [1, 100, 0, 300, 0, 0][at];
        assert_eq!(found, (count > 0).then_some((rows.as_slice(), count)));
        assert_eq!(connection.keep_given(), *bytes);
    }
    assert!(connection.is_idle());
    // Of a long one there is a part, and what is left of it is thrown away as of any other.
    connection.queue_query(b"SELECT seq FROM seq_1_to_100000");
    connection.queue_query(b"SELECT 2");
    let taken = next_answer(connection, |_| true).await;
    assert!(!taken.last && connection.given().len() > MAX);
    connection.drain().await.unwrap();
    // So is one that was looked at and not given out.
    connection
        .queue_query(b"SELECT seq, REPEAT('x', 1000) FROM seq_1_to_40 WHERE SLEEP(seq / 1000) = 0");
    connection.read_more().await.unwrap();
    assert_eq!(connection.try_answer(MAX, |_| true).unwrap(), None);
    connection.drain().await.unwrap();
    assert_eq!(second(connection, "SELECT 1, 2").await, "2");
    // A packet that is not plain ends what is given out.
    connection.queue_query(b"SELECT 3");
    let taken = next_answer(connection, |event| event != Event::Column).await;
    assert!(!taken.last && taken.event == Event::Column);
    connection.drain().await.unwrap();
}

async fn long_rows(connection: &mut Connection) {
    let sql = b"SELECT 'a' UNION ALL SELECT REPEAT('b', 20000000) UNION ALL SELECT REPEAT('c', 16777211) UNION ALL SELECT 'd'";
    let QueryResult::Rows(set) = connection.query(sql).await.unwrap() else { panic!("no rows") };
    let lengths: Vec<usize> = set.rows.iter().map(|row| row.get(0).unwrap().len()).collect();
    assert_eq!(lengths, [1, 20_000_000, 16_777_211, 1]);
    assert!(set.rows[1].get(0).unwrap().iter().all(|byte| *byte == b'b'));
    connection.send(ResponseKind::Query, &[b"\x03", sql]).await.unwrap();
    let mut bytes = 0;
    let end = loop {
        let piece = connection.next_piece().await.unwrap();
        assert!(piece.frames.len() <= 1 << 20, "a long row goes on in parts");
        if piece.event == Event::Rows {
            bytes += piece.frames.len();
        }
        if piece.last {
            break piece.event;
        }
    };
    assert!(matches!(end, Event::ResultEnd(_)));
    let (short, frames) = (2 * (4 + 2), 4 + 4 + 4 + 4);
    assert_eq!(bytes, short + (20_000_000 + 9) + (16_777_211 + 4) + frames);
    // And a statement of more than one frame.
    let text = "y".repeat(17_000_000);
    let sql = format!("SELECT LENGTH('{text}')");
    assert_eq!(one(connection, &sql).await, "17000000");
}

const EVERY_TYPE: &str = "CREATE OR REPLACE TABLE types (
    a TINYINT, b TINYINT UNSIGNED, c SMALLINT, d MEDIUMINT, e INT UNSIGNED ZEROFILL, f BIGINT, g BIGINT UNSIGNED,
    h FLOAT, i DOUBLE, j DECIMAL(30,5), k DATE, l DATETIME(6), m TIMESTAMP(3) NULL, n TIME(6), o TIME, p YEAR,
    q CHAR(5), r VARCHAR(20), s TEXT, t BLOB, u BIT(12), v ENUM('x','y'), w SET('x','y'), x JSON, y VARBINARY(9), z POINT)";
const ROWS: [&str; 4] = [
    "(-128, 255, -32768, -8388608, 42, -9223372036854775808, 18446744073709551615, 1.5, -2.25e100, -12345.678,
      '2024-02-29', '2024-02-29 23:59:59.123456', '2024-02-29 12:00:00.5', '-838:59:58.999999', '100:00:01', 2024,
      'ä', 'b''c', 'text', x'00ff27', b'101010101010', 'y', 'x,y', '{\"a\": 1}', x'0001', POINT(1, 2))",
    "(NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
      NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)",
    "(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, '0000-00-00', '0000-00-00', '2000-01-01', '00:00:00', '00:00:00', 1901, '', '', '',
      '', 0, 'x', '', '[]', '', POINT(0, 0))",
    "(1, 1, 1, 1, 1, 1, 1, 0.1, 0.1, 0.1, '2024-01-00', '9999-12-31 00:00:00', '2000-01-01 00:00:01', '00:00:01', '-23:00:00',
      2155, 'a', 'b', 'c', 'd', 1, 'y', 'y', 'null', 'e', NULL)",
];

/// What the server sends as a binary row is what the text row becomes by conversion, for every
/// type; and parameters of every type arrive.
async fn prepared(connection: &mut Connection) {
    connection.execute_sql(b"SET sql_mode=''").await.unwrap();
    connection.execute_sql(EVERY_TYPE.as_bytes()).await.unwrap();
    let insert = format!("INSERT INTO types VALUES {}", ROWS.join(","));
    connection.execute_sql(insert.as_bytes()).await.unwrap();
    let sql = b"SELECT * FROM types";
    let QueryResult::Rows(text) = connection.query(sql).await.unwrap() else { panic!("no rows") };
    let statement = connection.prepare(sql).await.unwrap();
    assert_eq!((statement.params.len(), statement.columns.len()), (0, 26));
    let StreamHead::Rows(columns) = connection.execute(&statement, &[]).await.unwrap() else {
        panic!("no rows")
    };
    let mut binary = Vec::new();
    while let Some(row) = connection.next_row().await.unwrap() {
        binary.push(row);
    }
    assert_eq!((text.rows.len(), binary.len()), (4, 4));
    for (text, binary) in text.rows.iter().zip(&binary) {
        let mut converted = Vec::new();
        text_row_to_binary(text.payload(), &columns, &mut converted).unwrap();
        let values = decode_binary_row(binary.payload(), &columns).unwrap();
        let converted_values = decode_binary_row(&converted, &columns).unwrap();
        assert_eq!(converted_values, values);
        assert_eq!(converted[..], binary.payload()[..]);
    }
    let first = decode_binary_row(binary[0].payload(), &columns).unwrap();
    assert_eq!(first[5], Value::Int(i64::MIN));
    assert_eq!(first[6], Value::UInt(u64::MAX));

    let again = connection.prepare(sql).await.unwrap();
    assert!(Arc::ptr_eq(&again, &statement) && connection.cached_statement(b"SELECT ?").is_none());
    let statement = connection.prepare(b"SELECT ?, ?").await.unwrap();
    assert_eq!(statement.params.len(), 2);
    assert!(matches!(connection.execute(&statement, &[]).await, Err(BackendError::Unexpected(_))));
    let StreamHead::Rows(_) =
        connection.execute(&statement, &[Value::Null, Value::UInt(u64::MAX)]).await.unwrap()
    else {
        panic!("no rows")
    };
    assert!(connection.next_result().await.unwrap().is_none());
    let error = connection.prepare(b"SELECT FROM").await.unwrap_err();
    assert_eq!(error.server().unwrap().number, 1064);
    // Statements beyond the bound close old ones on the server too.
    for number in 0..300 {
        connection.prepare(format!("SELECT {number}").as_bytes()).await.unwrap();
    }
    let open = second(connection, "SHOW GLOBAL STATUS LIKE 'Prepared_stmt_count'").await;
    assert_eq!(open, "256");
    connection.reset().await.unwrap();
    assert!(connection.cached_statement(b"SELECT 299").is_none());
}

async fn files(connection: &mut Connection) {
    connection.execute_sql(b"CREATE OR REPLACE TABLE f (a INT PRIMARY KEY)").await.unwrap();
    let load = b"LOAD DATA LOCAL INFILE 'some.csv' INTO TABLE f";
    connection.begin_load(load).await.unwrap();
    assert!(matches!(connection.next_piece().await, Err(BackendError::Unexpected(_))));
    let numbers: String = (0..100_000).map(|n| format!("{n}\n")).collect();
    connection.send_load(&numbers.as_bytes()[..7]).await.unwrap();
    connection.send_load(b"").await.unwrap();
    connection.send_load(&numbers.as_bytes()[7..]).await.unwrap();
    let ok = connection.finish_load().await.unwrap();
    assert_eq!(ok.affected_rows, 100_000);
    assert_eq!(ok.info, b"Records: 100000  Deleted: 0  Skipped: 0  Warnings: 0");
    assert!(connection.is_idle());
    assert_eq!(one(connection, "SELECT SUM(a) FROM f").await, "4999950000");
    let ok = connection.load(load, b"5\n100000\nx\n").await.unwrap();
    assert_eq!((ok.affected_rows, ok.warnings), (1, 3));
    assert_eq!(ok.info, b"Records: 3  Deleted: 0  Skipped: 2  Warnings: 3");
    let missing = connection.load(b"LOAD DATA LOCAL INFILE 'x' INTO TABLE nowhere", b"").await;
    assert_eq!(missing.unwrap_err().server().unwrap().number, 1146);
    assert!(connection.is_idle());
    // A file that its caller gives up on is an empty one.
    connection.begin_load(load).await.unwrap();
    connection.drain().await.unwrap();
    assert_eq!(one(connection, "SELECT COUNT(*) FROM f").await, "100001");
}

/// A server that asks for a file unasked gets none; one that takes none says so.
async fn unwanted_files(server: &Server) {
    let mut connection = server.connect().await;
    connection.execute_sql(b"CREATE OR REPLACE TABLE f (a INT)").await.unwrap();
    let load = b"LOAD DATA LOCAL INFILE '/etc/hostname' INTO TABLE f";
    let refused = connection.query_stream(load).await;
    assert!(matches!(refused, Err(BackendError::Protocol(_))) && connection.is_broken());
    let mut connection = server.connect().await;
    connection.execute_sql(b"SET GLOBAL local_infile=OFF").await.unwrap();
    let refused = connection.load(load, b"1\n").await;
    assert!(matches!(refused, Err(BackendError::LocalFilesOff { .. })), "{refused:?}");
    assert!(connection.is_idle());
    connection.execute_sql(b"SET GLOBAL local_infile=ON").await.unwrap();
}

/// Rows of every kind of column go through a file and are what they were.
async fn loaded_rows_are_exact(server: &Server) {
    let mut connection = server.connect().await;
    let columns = "a VARBINARY(600), b BLOB, c VARCHAR(600) CHARACTER SET utf8mb4, \
                   d VARCHAR(99) CHARACTER SET latin1, e BIT(33), f ENUM('x','','\u{e9}'), \
                   g SET('p','q'), h DATE, i DATETIME(6), j TIMESTAMP(3) NULL, k TIME(6), l YEAR, \
                   m DOUBLE, n FLOAT, o DECIMAL(65,30), p JSON, q BINARY(4), r BIGINT UNSIGNED, \
                   s CHAR(5), t POINT";
    for table in ["kinds", "copy"] {
        let create = format!("CREATE OR REPLACE TABLE {table} ({columns})");
        connection.execute_sql(create.as_bytes()).await.unwrap();
    }
    let mode = b"SET sql_mode='ALLOW_INVALID_DATES'";
    connection.execute_sql(mode).await.unwrap();
    for row in [
        "('', '', '', '', 0, '', '', '0000-00-00', '0000-00-00', '0000-00-00', '00:00:00', 0, 0, \
         0, 0, '{}', '', 0, '', POINT(0, 0))",
        "('\\\\N', '\\0\\n\\t\\\\', 'a\\tb\u{1F600}\\n\\r\\0', '\u{e9}\u{20ac}', b'111100000101110000001001011011100', \
         '\u{e9}', 'p,q', '2024-02-31', '2024-00-00 01:02:03.000001', '2030-01-01 00:00:00.123', \
         '-838:59:59.999999', 2155, -1.7976931348623157e308, 3.4e38, -0.000000000000000000000000000001, \
         '{\"a\": \"x\\\\ny\"}', '\\0a', 18446744073709551615, ' x', POINT(9, 10))",
    ] {
        let insert = format!("INSERT INTO kinds VALUES {row}");
        connection.execute_sql(insert.as_bytes()).await.unwrap();
    }
    connection.execute_sql(b"INSERT INTO kinds (a) VALUES (NULL)").await.unwrap();
    // Every pair of bytes, as far as the parser of files may see them as one character.
    for first in 0..=255u8 {
        let pairs: String = (0..=255u8).map(|second| format!("{first:02x}{second:02x}")).collect();
        let insert = format!("INSERT INTO kinds (a, b) VALUES (x'{first:02x}', x'{pairs}')");
        connection.execute_sql(insert.as_bytes()).await.unwrap();
    }
    let rows = connection.query(b"SELECT * FROM kinds").await.unwrap().into_rows();
    let names: Vec<Vec<u8>> = (b'a'..=b't').map(|name| vec![b'`', name, b'`']).collect();
    let mut file = Vec::new();
    for row in &rows {
        put_row(row.fields().map(Result::unwrap), &mut file);
    }
    for mode in ["ALLOW_INVALID_DATES", "ALLOW_INVALID_DATES,NO_BACKSLASH_ESCAPES"] {
        connection.execute_sql(format!("SET sql_mode='{mode}'").as_bytes()).await.unwrap();
        connection.execute_sql(b"DELETE FROM copy").await.unwrap();
        let ok = connection.load(&load_statement(b"`copy`", &names), &file).await.unwrap();
        let warnings = connection.query(b"SHOW WARNINGS").await.unwrap().into_rows();
        let warnings: Vec<_> = warnings.iter().map(|row| row.text(2)).collect();
        assert_eq!((ok.affected_rows, ok.warnings), (rows.len() as u64, 0), "{warnings:?}");
        let copied = connection.query(b"SELECT * FROM copy").await.unwrap().into_rows();
        assert!(rows == copied, "{mode}");
    }
}

/// A parameter and its literal are the same value to the server.
async fn literals(server: &Server) {
    let mut connection = server.connect().await;
    let date = DateValue { year: 2024, month: 2, day: 29, ..DateValue::default() };
    let moment = DateValue { hour: 1, second: 3, micros: 4, has_time: true, ..date };
    let values = [
        Value::Int(i64::MIN),
        Value::Int(-1),
        Value::UInt(u64::MAX),
        Value::Double(-1.5e-7),
        Value::Float(0.1),
        Value::Decimal(b"-12.500".to_vec()),
        Value::Bytes("O'Neill \\ ä \0 \"".into()),
        Value::Blob(vec![0, 255, 39, 92]),
        Value::Date(date),
        Value::Date(moment),
        Value::Time(TimeValue {
            negative: true,
            days: 34,
            hours: 22,
            minutes: 59,
            seconds: 59,
            micros: 0,
        }),
    ];
    for mode in ["", "NO_BACKSLASH_ESCAPES,ANSI_QUOTES"] {
        connection.execute_sql(format!("SET sql_mode='{mode}'").as_bytes()).await.unwrap();
        for value in &values {
            let mut sql = b"SELECT ".to_vec();
            value.to_sql_literal(&mut sql, !mode.is_empty());
            sql.extend_from_slice(b" <=> ?, HEX(CAST(");
            value.to_sql_literal(&mut sql, !mode.is_empty());
            sql.extend_from_slice(b" AS CHAR)) = HEX(CAST(? AS CHAR))");
            let statement = connection.prepare(&sql).await.unwrap();
            let params = [value.clone(), value.clone()];
            let StreamHead::Rows(columns) = connection.execute(&statement, &params).await.unwrap()
            else {
                panic!("no rows")
            };
            let row = connection.next_row().await.unwrap().unwrap();
            assert!(connection.next_row().await.unwrap().is_none());
            let row = decode_binary_row(row.payload(), &columns).unwrap();
            assert_eq!(row[0], Value::Int(1), "{}", String::from_utf8_lossy(&sql));
            // The text of a float depends on its width, that of a moment on its declared digits.
            if !matches!(value, Value::Float(_) | Value::Date(_) | Value::Double(_)) {
                assert_eq!(row[1], Value::Int(1), "{}", String::from_utf8_lossy(&sql));
            }
        }
    }
}

async fn sessions(server: &Server) {
    let mut connection = server.connect().await;
    let names = "SELECT CONCAT_WS(' ', @@character_set_client, @@character_set_results, @@collation_connection)";
    let base = "utf8mb4 utf8mb4 utf8mb4_general_ci";
    assert_eq!(one(&mut connection, names).await, base);
    let wanted = SessionState::default()
        .with("sql_mode", "'ANSI_QUOTES'")
        .with("@x", "'it''s'")
        .with("names", "latin1");
    let wanted = Arc::new(wanted.with_database(Some("mysql".to_owned())));
    assert!(!connection.session_matches(&wanted));
    connection.apply_session(&wanted).await.unwrap();
    assert!(connection.session_matches(&wanted));
    // Texts come as UTF-8, whatever the client's own set is.
    let all = "SELECT CONCAT_WS('|', @@sql_mode, @x, @@character_set_client, @@character_set_results, DATABASE())";
    assert_eq!(one(&mut connection, all).await, "ANSI_QUOTES|it's|utf8mb4|latin1|mysql");
    let sets = "SHOW SESSION STATUS LIKE 'Com_set_option'";
    let before = second(&mut connection, sets).await;
    connection.apply_session(&Arc::new((*wanted).clone())).await.unwrap();
    assert_eq!(second(&mut connection, sets).await, before);
    // Back to nothing: each setting is taken back, the database stays.
    let nothing = Arc::new(SessionState::default());
    connection.apply_session(&nothing).await.unwrap();
    assert_eq!(
        one(
            &mut connection,
            "SELECT CONCAT_WS('|', @@sql_mode = @@global.sql_mode, IFNULL(@x, 'none'), DATABASE())"
        )
        .await,
        "1|none|mysql"
    );
    assert_eq!(one(&mut connection, names).await, base);
    // What no state tells of goes by a reset.
    connection
        .execute_sql(
            b"CREATE TEMPORARY TABLE t.gone (a INT); SET @y = 1; SET character_set_client = latin1",
        )
        .await
        .unwrap();
    connection.mark_dirty();
    connection.apply_session(&wanted).await.unwrap();
    assert_eq!(one(&mut connection, "SELECT IFNULL(@y, 'none')").await, "none");
    assert_eq!(one(&mut connection, all).await, "ANSI_QUOTES|it's|utf8mb4|latin1|mysql");
    assert!(connection.query(b"SELECT * FROM t.gone").await.is_err());
    connection.reset().await.unwrap();
    assert_eq!(one(&mut connection, names).await, base);
    assert_eq!(one(&mut connection, "SELECT DATABASE()").await, "mysql");
    // A state that cannot be: the next one starts from a reset.
    let bad = Arc::new(SessionState::default().with("@x", "1").with("sql_mode", "'NO_SUCH_MODE'"));
    assert!(connection.apply_session(&bad).await.is_err() && connection.is_dirty());
    connection.apply_session(&nothing).await.unwrap();
    assert!(!connection.is_dirty());
    assert_eq!(one(&mut connection, "SELECT IFNULL(@x, 'none')").await, "none");
}

async fn limits(server: &Server) {
    let options =
        ConnectOptions { read_idle_timeout: Some(Duration::from_millis(200)), ..server.options() };
    let mut connection = Connection::connect(&options).await.unwrap();
    let error = connection.query(b"SELECT SLEEP(3)").await.unwrap_err();
    assert!(matches!(error, BackendError::Timeout { .. }) && connection.is_broken());
    assert!(matches!(connection.ping().await, Err(BackendError::Closed { .. })));
    drop(connection);
    // KILL QUERY ends a statement with an error and leaves the connection.
    let mut connection = server.connect().await;
    let (id, options) = (connection.thread_id(), server.options());
    let killer = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(200)).await;
        kill(&options, id, KillTarget::Query).await
    });
    let started = Instant::now();
    let error = connection
        .query(b"SELECT COUNT(*) FROM seq_1_to_100000 a, seq_1_to_100000 b WHERE a.seq + b.seq = 7")
        .await
        .unwrap_err();
    assert_eq!(error.server().unwrap().number, 1317, "{error}");
    assert!(started.elapsed() < Duration::from_secs(20));
    killer.await.unwrap().unwrap();
    connection.ping().await.unwrap();
    kill(&server.options(), id, KillTarget::Connection).await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!connection.idle_socket_alive());
    assert!(connection.query(b"SELECT 1").await.is_err());
    kill(&server.options(), id, KillTarget::Query).await.unwrap();
    // A large answer is not drained for ever.
    let mut connection = server.connect().await;
    connection.query_stream(b"SELECT REPEAT('a', 1000) FROM seq_1_to_100000").await.unwrap();
    assert!(matches!(connection.drain().await, Err(BackendError::ResultTooLarge { .. })));
    assert!(connection.is_broken());
    let mut connection = server.connect().await;
    connection.query_stream(b"SELECT seq FROM seq_1_to_1000; SELECT 2").await.unwrap();
    connection.drain().await.unwrap();
    assert!(connection.is_idle());
    let mut connection = server.connect().await;
    connection.queue_query(b"SELECT SLEEP(2)");
    connection.flush().await.unwrap();
    assert!(matches!(connection.drain().await, Err(BackendError::Timeout { .. })));
}

async fn flags(server: &Server) {
    for (found_rows, affected) in [(false, 0), (true, 1)] {
        let options = ConnectOptions { found_rows, session_track: true, ..server.options() };
        let mut connection = Connection::connect(&options).await.unwrap();
        connection
            .execute_sql(b"CREATE OR REPLACE TABLE g (a INT); INSERT INTO g VALUES (1)")
            .await
            .unwrap();
        let ok = connection.execute_sql(b"UPDATE g SET a = 1").await.unwrap();
        assert_eq!(ok.affected_rows, affected);
        let ok = connection.execute_sql(b"USE mysql").await.unwrap();
        let changes = mysql_wire::session_track::parse_session_track(&ok.session_track).unwrap();
        assert!(
            changes.contains(&mysql_wire::session_track::SessionChange::Schema(b"mysql".to_vec()))
        );
    }
    let options =
        ConnectOptions { multi_statements: false, local_files: false, ..server.options() };
    let mut connection = Connection::connect(&options).await.unwrap();
    assert!(connection.query(b"SELECT 1; SELECT 2").await.is_err());
    assert!(connection.query(b"LOAD DATA LOCAL INFILE 'x' INTO TABLE t.g").await.is_err());
}
