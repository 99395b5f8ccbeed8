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

/// The longest pattern of database names that a server takes in a grant, in characters.
const PATTERN_CHARACTERS_MAX: usize = 64;

/// The pattern of a grant on all databases whose names begin so. `_` and `%`, wildcards in grants,
/// stand for themselves; where the pattern would be longer than servers take, the first `_` are
/// left as wildcards for one character, so that no more than needed is granted.
pub fn pattern_of_prefix(prefix: &str) -> String {
    let special = |character: char| matches!(character, '\\' | '_' | '%');
    let wanted = prefix.chars().count() + prefix.chars().filter(|&c| special(c)).count() + 1;
    let mut too_long = wanted.saturating_sub(PATTERN_CHARACTERS_MAX);
    let mut pattern = String::with_capacity(wanted);
    for character in prefix.chars() {
        if character == '_' && too_long > 0 {
            too_long -= 1;
        } else if special(character) {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern.push('%');
    pattern
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
    }

    #[test]
    fn patterns_are_literal_as_far_as_they_fit() {
        assert_eq!(pattern_of_prefix("my_db_"), "my\\_db\\_%");
        assert_eq!(pattern_of_prefix("100%"), "100\\%%");
        let longest = format!("a{}z_", "_9".repeat(23));
        let pattern = pattern_of_prefix(&longest);
        assert_eq!(pattern.chars().count(), PATTERN_CHARACTERS_MAX);
        assert!(pattern.starts_with("a_9_9") && pattern.ends_with("\\_9z\\_%"), "{pattern}");
        assert_eq!(pattern.replace('\\', ""), format!("{longest}%"));
    }
}
