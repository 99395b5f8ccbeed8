//! Names and texts as they must stand in a statement. Every connection of ours sets its sql_mode
//! first, so that backslashes in texts escape and quotation marks do not name things.

/// `name` as an identifier; `None` for one that no server takes.
pub fn identifier(name: &str) -> Option<String> {
    let acceptable = !name.is_empty() && name.len() <= 256 && !name.contains('\0');
    acceptable.then(|| format!("`{}`", name.replace('`', "``")))
}

/// `text` as a string literal.
pub fn literal(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('\'');
    for character in text.chars() {
        match character {
            '\'' => out.push_str("''"),
            '\\' => out.push_str("\\\\"),
            '\0' => out.push_str("\\0"),
            other => out.push(other),
        }
    }
    out.push('\'');
    out
}

/// `'user'@'host'`.
pub fn account(user: &str, host: &str) -> String {
    format!("{}@{}", literal(user), literal(host))
}

/// A name in which `_` and `%`, wildcards in grants, stand for themselves.
pub fn without_wildcards(name: &str) -> String {
    name.replace('\\', "\\\\").replace('_', "\\_").replace('%', "\\%")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoting() {
        assert_eq!(identifier("a`b").as_deref(), Some("`a``b`"));
        assert_eq!(identifier(""), None);
        assert_eq!(literal("it's \\ \0"), "'it''s \\\\ \\0'");
        assert_eq!(account("a", "%"), "'a'@'%'");
        assert_eq!(without_wildcards("my_db"), "my\\_db");
    }
}
