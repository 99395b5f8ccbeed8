//! A new table's definition from what SHOW CREATE TABLE gives of the old one: its form is the
//! server's own and fixed.

use topology::definition::without_counter;

/// The text with another name for the table, without the counter of AUTO_INCREMENT.
pub fn renamed(create: &str, qualified: &str) -> Option<String> {
    let body = create.find(" (\n")?;
    Some(format!("CREATE TABLE {qualified}{}", without_counter(&create[body..])))
}

/// `n` of the table option `AUTO_INCREMENT=n`.
pub fn counter(create: &str) -> Option<u64> {
    let (at, end) = counter_at(create)?;
    create[at..end].rsplit('=').next()?.parse().ok()
}

/// Where the option stands: on the last lines, behind the definitions.
fn counter_at(create: &str) -> Option<(usize, usize)> {
    const WORD: &str = " AUTO_INCREMENT=";
    let options = create.rfind("\n) ").unwrap_or_default();
    let at = options + create[options..].find(WORD)?;
    let digits = create[at + WORD.len()..].chars().take_while(char::is_ascii_digit).count();
    Some((at, at + WORD.len() + digits))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const CREATE: &str = "CREATE TABLE `t` (\n  `id` bigint(20) NOT NULL AUTO_INCREMENT,\n  `c` text DEFAULT ' AUTO_INCREMENT=7',\n  PRIMARY KEY (`id`)\n) ENGINE=InnoDB AUTO_INCREMENT=17 DEFAULT CHARSET=utf8mb4";

    #[test]
    fn a_table_gets_another_name_and_no_counter() {
        let renamed = renamed(CREATE, "`d`.`n`").unwrap();
        assert!(renamed.starts_with("CREATE TABLE `d`.`n` (\n  `id`"));
        assert!(renamed.ends_with("\n) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4"));
        assert!(renamed.contains("DEFAULT ' AUTO_INCREMENT=7'"));
        assert_eq!(counter(CREATE), Some(17));
        assert_eq!(counter("CREATE TABLE `t` (\n  `c` int\n) ENGINE=InnoDB"), None);
    }
}
