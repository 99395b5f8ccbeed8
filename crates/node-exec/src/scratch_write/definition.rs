//! A table's definition as its data node prints it → that of a temporary table: the same columns,
//! defaults, generated columns and checks; keys as far as they hold; a hidden column that numbers
//! rows. The server prints one column or key a line, which is all that is relied on here.

/// The column that numbers rows.
pub(crate) const ROW_COLUMN: &str = "_ddm_row";

/// Hidden from `*` and from INSERT without a column list, where the server can hide a column.
const HIDDEN: &str = "/*!80023 INVISIBLE */ /*M!100300 INVISIBLE */";

/// What the temporary table is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// New rows are made in it: no key, ids may be missing, rows are numbered as they come.
    Made,
    /// Rows of the shards change in it: all keys.
    Changed,
    /// The same without those keys that are unique in one shard only.
    ChangedLoosely,
}

/// `CREATE TEMPORARY TABLE` of a printed definition. `holds` says of a unique key's columns whether
/// it is unique over all shards. `None` when the definition is not of the form that is known.
pub(crate) fn temporary(
    printed: &str,
    name: &str,
    form: Form,
    holds: &dyn Fn(&[&str]) -> bool,
) -> Option<String> {
    let mut lines = printed.lines();
    lines.next().filter(|line| line.starts_with("CREATE TABLE ") && line.ends_with('('))?;
    let mut parts = Vec::new();
    let mut options = None;
    for line in lines {
        if line.starts_with(')') {
            options = Some(line);
            break;
        }
        let line = line.trim();
        parts.extend(part(line.strip_suffix(',').unwrap_or(line), form, holds));
    }
    let numbering = match form {
        Form::Made => "NOT NULL AUTO_INCREMENT",
        Form::Changed | Form::ChangedLoosely => "DEFAULT NULL",
    };
    parts.insert(0, format!("`{ROW_COLUMN}` bigint unsigned {numbering} {HIDDEN}"));
    if form == Form::Made {
        parts.push(format!("PRIMARY KEY (`{ROW_COLUMN}`)"));
    }
    let options = options?;
    let mut text =
        format!("CREATE TEMPORARY TABLE {name} ({}) ENGINE=InnoDB", parts.join(", "));
    for word in ["DEFAULT CHARSET=", "COLLATE="] {
        let value = options.split(' ').find_map(|option| {
            option.strip_prefix(word.rsplit(' ').next().unwrap_or(word)).map(str::to_owned)
        });
        if let Some(value) = value {
            text.push_str(&format!(" {word}{value}"));
        }
    }
    Some(text)
}

/// One column, key or constraint; `None` when it is left out.
fn part(line: &str, form: Form, holds: &dyn Fn(&[&str]) -> bool) -> Option<String> {
    if line.starts_with('`') {
        return Some(match form {
            Form::Made => line.replacen(" NOT NULL AUTO_INCREMENT", " DEFAULT NULL", 1),
            Form::Changed | Form::ChangedLoosely => line.to_owned(),
        });
    }
    if line.starts_with("CONSTRAINT ") || line.starts_with("CHECK ") {
        let is_check = !line.contains(" FOREIGN KEY (");
        return is_check.then(|| line.to_owned());
    }
    if form == Form::Made {
        return None;
    }
    let rest = line.strip_prefix("UNIQUE ").unwrap_or(line);
    let is_loose = form == Form::ChangedLoosely && !holds(&columns_of_key(line));
    match line.split(' ').next() {
        Some("PRIMARY") if is_loose => {
            Some(line.replacen("PRIMARY KEY ", "KEY `_ddm_primary` ", 1))
        }
        Some("UNIQUE") if is_loose => Some(rest.to_owned()),
        Some("PRIMARY" | "UNIQUE" | "KEY") => Some(line.to_owned()),
        // FULLTEXT and SPATIAL keys are not for temporary tables; PERIOD is for versions of rows.
        _ => None,
    }
}

/// The columns of ``UNIQUE KEY `name` (`a`,`b`(10))``.
fn columns_of_key(line: &str) -> Vec<&str> {
    let from = line.find(" (`").map_or(line.len(), |at| at + 2);
    line[from..].split('`').skip(1).step_by(2).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const PRINTED: &str = "CREATE TABLE `t` (
  `id` int(11) NOT NULL AUTO_INCREMENT,
  `a` varchar(10) CHARACTER SET latin1 DEFAULT 'x,(',
  `g` int(11) GENERATED ALWAYS AS (`id` * 2) STORED,
  PRIMARY KEY (`id`),
  UNIQUE KEY `u` (`a`(3),`g`) USING BTREE,
  KEY `k` (`a`),
  FULLTEXT KEY `f` (`a`),
  CONSTRAINT `p` FOREIGN KEY (`a`) REFERENCES `x` (`a`),
  CONSTRAINT `c` CHECK (`id` > 0)
) ENGINE=InnoDB AUTO_INCREMENT=7 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin COMMENT='x'
 PARTITION BY HASH (`id`)
PARTITIONS 2";

    fn made(form: Form) -> String {
        temporary(PRINTED, "`d`.`n`", form, &|columns| columns.contains(&"id")).unwrap()
    }

    #[test]
    fn keys_stay_as_far_as_they_hold() {
        let all = made(Form::Changed);
        assert!(all.contains("PRIMARY KEY (`id`), UNIQUE KEY `u` (`a`(3),`g`) USING BTREE, KEY"));
        assert!(!all.contains("FULLTEXT") && !all.contains("FOREIGN") && !all.contains("PARTITION"));
        assert!(all.contains("CONSTRAINT `c` CHECK"));
        assert!(all.ends_with("ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin"));
        let loose = made(Form::ChangedLoosely);
        assert!(loose.contains("PRIMARY KEY (`id`), KEY `u` (`a`(3),`g`)"));
        let rows = made(Form::Made);
        assert!(rows.contains("`id` int(11) DEFAULT NULL"));
        assert!(!rows.contains("UNIQUE") && rows.contains("PRIMARY KEY (`_ddm_row`)"));
    }

    #[test]
    fn a_strange_form_is_told() {
        assert_eq!(temporary("CREATE VIEW x AS", "n", Form::Changed, &|_| true), None);
    }
}
