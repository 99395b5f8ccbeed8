//! Files of statements: one statement ends with `;` at the end of a line; lines that begin with `#`
//! are comments. `{name}` in a table definition stands for the layout's clause for that table.

use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

/// The repository's directory of SQL cases.
pub fn sql_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/sql")
}

/// The statements of a file, in order, without their final semicolon.
pub fn statements(path: &Path) -> Result<Vec<String>> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(split(&text))
}

/// The statements of a text.
pub fn split(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut statement = String::new();
    for line in text.lines() {
        if statement.is_empty() && (line.trim().is_empty() || line.starts_with('#')) {
            continue;
        }
        if !statement.is_empty() {
            statement.push('\n');
        }
        statement.push_str(line);
        if let Some(whole) = statement.trim_end().strip_suffix(';') {
            found.push(whole.to_owned());
            statement.clear();
        }
    }
    if !statement.trim().is_empty() {
        found.push(statement);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_ends_at_the_end_of_a_line() {
        let text = "# comment\nSELECT 1;\n\nSELECT ';' AS a,\n 2;\nSELECT 3";
        assert_eq!(split(text), ["SELECT 1", "SELECT ';' AS a,\n 2", "SELECT 3"]);
    }
}
