//! CREATE statements of physical tables, as data nodes give them and as a document brings them. A
//! document comes from outside, so a statement is looked at before it is run: it must be one CREATE
//! TABLE with its columns in brackets and nothing that reaches beyond the table. It is run with the
//! instance's own account, which may touch the schema's databases alone.

/// A CREATE statement is never longer.
pub const CREATE_BYTES_MAX: usize = 1024 * 1024;

/// Every statement begins so.
const HEAD: &str = "CREATE TABLE `";

/// Words that reach beyond the table, outside texts and names.
const FORBIDDEN: [&str; 7] =
    ["SELECT", "TABLE", "LIKE", "DIRECTORY", "CONNECTION", "UNION", "TABLESPACE"];

/// Engines that keep a table's rows in the data node itself.
const ENGINES: [&str; 6] = ["INNODB", "ARIA", "MYISAM", "MEMORY", "ROCKSDB", "TOKUDB"];

/// What a statement has after the table's name, from the opening bracket on, if it is one that may
/// be run; else what is wrong with it.
pub fn definition(create: &str) -> Result<&str, String> {
    if create.len() > CREATE_BYTES_MAX {
        return Err("a CREATE statement is too long".to_owned());
    }
    let after = create.strip_prefix(HEAD).ok_or("a statement is no CREATE TABLE")?;
    let end = quoted_end(after.as_bytes(), b'`').ok_or("a name does not end")?;
    let rest = after[end..].trim_start();
    if !rest.starts_with('(') {
        return Err("a CREATE TABLE has no columns".to_owned());
    }
    scan(rest)?;
    Ok(rest)
}

/// The statement for another table of the same definition.
pub fn for_table(definition: &str, table: &str) -> String {
    format!("CREATE TABLE IF NOT EXISTS `{}` {definition}", table.replace('`', "``"))
}

/// The place after the quotation mark that ends a text or a name.
fn quoted_end(bytes: &[u8], mark: u8) -> Option<usize> {
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] == b'\\' && mark != b'`' {
            at += 2;
        } else if bytes[at] != mark {
            at += 1;
        } else if bytes.get(at + 1) == Some(&mark) {
            at += 2;
        } else {
            return Some(at + 1);
        }
    }
    None
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$' || byte >= 0x80
}

fn scan(text: &str) -> Result<(), String> {
    let bytes = text.as_bytes();
    let (mut at, mut depth, mut versioned, mut engine_next) = (0, 0_i64, false, false);
    while at < bytes.len() {
        let pair = bytes.get(at + 1).copied();
        match bytes[at] {
            mark @ (b'\'' | b'"' | b'`') => {
                at += 1 + quoted_end(&bytes[at + 1..], mark).ok_or("a text does not end")?;
                continue;
            }
            b'(' => depth += 1,
            b')' => depth -= 1,
            b';' | b'#' | 0 => return Err("a statement has more than one part".to_owned()),
            b'-' if pair == Some(b'-') => return Err("a statement has a comment".to_owned()),
            b'/' if pair == Some(b'*') => {
                // Only those that the servers themselves write, with what other versions skip.
                if versioned || bytes.get(at + 2) != Some(&b'!') {
                    return Err("a statement has a comment".to_owned());
                }
                versioned = true;
                at += 3;
                at += bytes[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
                continue;
            }
            b'*' if versioned && pair == Some(b'/') => {
                versioned = false;
                at += 2;
                continue;
            }
            byte if is_word(byte) => {
                let length = bytes[at..].iter().take_while(|byte| is_word(**byte)).count();
                check_word(&text[at..at + length], &mut engine_next)?;
                at += length;
                continue;
            }
            _ => {}
        }
        if depth < 0 {
            return Err("a bracket is closed that was not opened".to_owned());
        }
        at += 1;
    }
    if depth == 0 && !versioned { Ok(()) } else { Err("a statement does not end".to_owned()) }
}

fn check_word(word: &str, engine_next: &mut bool) -> Result<(), String> {
    let upper = word.to_ascii_uppercase();
    if std::mem::replace(engine_next, upper == "ENGINE") && !ENGINES.contains(&upper.as_str()) {
        return Err(format!("the engine {word} is not supported"));
    }
    if FORBIDDEN.contains(&upper.as_str()) {
        return Err(format!("a CREATE TABLE with {upper} is not supported"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_servers_write_passes() {
        for create in [
            "CREATE TABLE `t` (\n  `id` bigint(20) NOT NULL,\n  PRIMARY KEY (`id`)\n) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4",
            "CREATE TABLE `a``b` (\n  `select` varchar(9) DEFAULT 'it''s; \\'# --' COMMENT 'drop table /* x */',\n  KEY `like` (`select`)\n) ENGINE=MyISAM",
            "CREATE TABLE `t` (\n  `a` int(11) /*!80023 INVISIBLE */,\n  `b` int(11) GENERATED ALWAYS AS (`a` - -1) VIRTUAL\n) /*!50100 PARTITION BY HASH (`a`) PARTITIONS 4 */",
        ] {
            let rest = definition(create).unwrap();
            assert!(rest.starts_with('('), "{rest}");
            assert_eq!(
                for_table(rest, "x`_3"),
                format!("CREATE TABLE IF NOT EXISTS `x``_3` {rest}")
            );
        }
    }

    #[test]
    fn nothing_else_passes() {
        for create in [
            "",
            "DROP DATABASE mysql",
            "CREATE TABLE t (a int)",
            "CREATE TABLE `t",
            "CREATE TABLE `t` LIKE mysql.user",
            "CREATE TABLE `t` (LIKE mysql.user)",
            "CREATE TABLE `t` SELECT 1",
            "CREATE TABLE `t` (`a` int) SELECT * FROM mysql.user",
            "CREATE TABLE `t` (`a` int) AS TABLE mysql.user",
            "CREATE TABLE `t` (`a` int); DROP DATABASE mysql",
            "CREATE TABLE `t` (`a` int) -- x",
            "CREATE TABLE `t` (`a` int) # x",
            "CREATE TABLE `t` (`a` int) /* x */",
            "CREATE TABLE `t` (`a` int) /*!SELECT 1*/",
            "CREATE TABLE `t` (`a` int) /*!50000 ENGINE=InnoDB",
            "CREATE TABLE `t` (`a` int) DATA DIRECTORY='/tmp'",
            "CREATE TABLE `t` (`a` int) ENGINE=FEDERATED CONNECTION='mysql://x'",
            "CREATE TABLE `t` (`a` int) ENGINE = CONNECT",
            "CREATE TABLE `t` (`a` int",
            "CREATE TABLE `t` (`a` int))",
            "CREATE TABLE `t` (`a` int DEFAULT 'x)",
        ] {
            assert!(definition(create).is_err(), "{create}");
        }
    }
}
