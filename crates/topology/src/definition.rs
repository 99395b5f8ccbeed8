//! A physical table's definition as SHOW CREATE TABLE gives it, told of the logical table, so that
//! the physical tables of one logical table can be compared with each other and with what they were.

/// The definition as every physical table of the logical one has it: without the data node's counter.
pub fn comparable(create: &str, physical: &str, logical: &str) -> String {
    without_counter(&renamed(create, physical, logical))
}

/// The definition without what is not the logical table's own: the physical name, and the endings
/// that make constraint names differ inside one database.
pub fn renamed(create: &str, physical: &str, logical: &str) -> String {
    let number = physical.rfind('_').map(|at| &physical[at..]).unwrap_or_default();
    let is_number = number.len() > 1 && number[1..].bytes().all(|byte| byte.is_ascii_digit());
    let ending = if is_number && physical != logical { number } else { "" };
    let head = format!("CREATE TABLE `{}`", physical.replace('`', "``"));
    let named = create.replacen(&head, &format!("CREATE TABLE `{logical}`"), 1);
    let lines: Vec<String> =
        named.split('\n').map(|line| own_names(line, physical, logical, ending)).collect();
    lines.join("\n")
}

/// A FOREIGN KEY's line without the endings of physical names.
fn own_names(line: &str, physical: &str, logical: &str, ending: &str) -> String {
    if !line.contains(" FOREIGN KEY ") {
        return line.to_owned();
    }
    let generated = format!("`{physical}_ibfk_");
    if line.contains(&generated) {
        return unreferenced(&line.replace(&generated, &format!("`{logical}_ibfk_")), ending);
    }
    let named = match ending.is_empty() {
        true => line.to_owned(),
        false => line.replacen(&format!("{ending}` FOREIGN KEY"), "` FOREIGN KEY", 1),
    };
    unreferenced(&named, ending)
}

fn unreferenced(line: &str, ending: &str) -> String {
    match line.split_once(" REFERENCES ") {
        Some((left, right)) if !ending.is_empty() => {
            format!("{left} REFERENCES {}", right.replacen(&format!("{ending}` ("), "` (", 1))
        }
        _ => line.to_owned(),
    }
}

/// The text without ` AUTO_INCREMENT=n` among its table options.
pub fn without_counter(create: &str) -> String {
    const WORD: &str = " AUTO_INCREMENT=";
    let Some(end) = create.rfind("\n)") else { return create.to_owned() };
    let Some(at) = create[end..].find(WORD).map(|at| at + end) else { return create.to_owned() };
    let digits = create[at + WORD.len()..].bytes().take_while(|byte| byte.is_ascii_digit()).count();
    format!("{}{}", &create[..at], &create[at + WORD.len() + digits..])
}

/// AUTO_INCREMENT on the line of the sequence's column, where the data node does not say it.
pub fn with_auto_increment(statement: &str, column: &str) -> String {
    let head = format!("  `{}` ", column.replace('`', "``")).to_lowercase();
    let lines: Vec<String> = statement
        .split('\n')
        .map(|line| {
            let is_column =
                line.to_lowercase().starts_with(&head) && !line.contains("AUTO_INCREMENT");
            match (is_column, line.strip_suffix(',')) {
                (false, _) => line.to_owned(),
                (true, Some(definition)) => format!("{definition} AUTO_INCREMENT,"),
                (true, None) => format!("{line} AUTO_INCREMENT"),
            }
        })
        .collect();
    lines.join("\n")
}

/// The parts of a definition that CHECK TABLE names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parts {
    /// `(name, definition)` of each column, in order.
    pub columns: Vec<(String, String)>,
    /// Keys and constraints, in order.
    pub keys: Vec<String>,
    /// ENGINE.
    pub engine: String,
    /// DEFAULT CHARSET.
    pub charset: String,
    /// COLLATE.
    pub collate: String,
    /// The partitions' lines.
    pub partitions: Vec<String>,
}

impl Parts {
    /// Takes a definition of [`comparable`] apart.
    pub fn of(create: &str) -> Parts {
        let mut parts = Parts::default();
        let (body, options) = match create.rfind("\n) ") {
            Some(end) => (&create[..end], &create[end + 2..]),
            None => (create, ""),
        };
        for line in body.split('\n').skip(1) {
            let line = line.trim().trim_end_matches(',');
            match line.strip_prefix('`').and_then(|rest| rest.split_once("` ")) {
                Some((name, _)) => parts.columns.push((name.to_owned(), line.to_owned())),
                None => parts.keys.push(line.to_owned()),
            }
        }
        let mut lines = options.split('\n');
        let first = lines.next().unwrap_or_default();
        let option = |word: &str| {
            first
                .split_ascii_whitespace()
                .find_map(|one| one.strip_prefix(word))
                .unwrap_or_default()
                .to_owned()
        };
        parts.engine = option("ENGINE=");
        parts.charset = option("CHARSET=");
        parts.collate = option("COLLATE=");
        parts.partitions =
            lines.map(|line| line.trim().trim_matches(['(', ')', ',']).to_owned()).collect();
        parts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CREATE: &str = "CREATE TABLE `items_3` (\n  `id` bigint(20) NOT NULL AUTO_INCREMENT,\n  \
        `k` int(11) DEFAULT NULL,\n  PRIMARY KEY (`id`),\n  CONSTRAINT `fk_3` FOREIGN KEY (`k`) \
        REFERENCES `parts_3` (`k`),\n  CONSTRAINT `items_3_ibfk_1` FOREIGN KEY (`k`) REFERENCES \
        `dim` (`k`)\n) ENGINE=InnoDB AUTO_INCREMENT=17 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin";

    #[test]
    fn physical_things_go() {
        let text = comparable(CREATE, "items_3", "items");
        assert!(text.starts_with("CREATE TABLE `items` ("));
        assert!(text.contains("CONSTRAINT `fk` FOREIGN KEY (`k`) REFERENCES `parts` (`k`)"));
        assert!(
            text.contains("CONSTRAINT `items_ibfk_1` FOREIGN KEY (`k`) REFERENCES `dim` (`k`)")
        );
        assert!(text.ends_with("ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin"));
    }

    #[test]
    fn parts_are_told_apart() {
        let parts = Parts::of(&comparable(CREATE, "items_3", "items"));
        assert_eq!(parts.columns.len(), 2);
        assert_eq!(parts.columns[1].1, "`k` int(11) DEFAULT NULL");
        assert_eq!(parts.keys.len(), 3);
        assert_eq!((parts.engine.as_str(), parts.charset.as_str()), ("InnoDB", "utf8mb4"));
        assert_eq!(parts.collate, "utf8mb4_bin");
    }

    #[test]
    fn the_sequence_is_shown() {
        let create =
            "CREATE TABLE `t` (\n  `id` bigint(20) NOT NULL,\n  `ida` int(11)\n) ENGINE=InnoDB";
        assert_eq!(
            with_auto_increment(create, "id"),
            "CREATE TABLE `t` (\n  `id` bigint(20) NOT NULL AUTO_INCREMENT,\n  `ida` int(11)\n) ENGINE=InnoDB"
        );
    }
}
