//! What a person or a program gets on standard output.

use comfy_table::{ContentArrangement, Table, presets};
use serde_json::Value;
use std::fmt::Display;
use std::io::{ErrorKind, Write};

/// One column of a table: its heading, and where its value is (`a.b` is `b` inside `a`).
pub type Column = (&'static str, &'static str);

/// Prints answers.
#[derive(Clone, Copy, Debug)]
pub struct Printer {
    json: bool,
}

impl Printer {
    /// A printer of JSON, or of tables.
    pub fn new(json: bool) -> Self {
        Self { json }
    }

    /// Rows of a list.
    pub fn list(self, rows: &[Value], columns: &[Column]) {
        if self.json {
            return print_json(&Value::Array(rows.to_vec()));
        }
        let mut table = new_table();
        table.set_header(columns.iter().map(|(heading, _)| *heading));
        for row in rows {
            table.add_row(columns.iter().map(|(_, path)| cell(row, path)));
        }
        print_line(&table);
    }

    /// One object.
    pub fn object(self, object: &Value) {
        if self.json {
            return print_json(object);
        }
        let mut table = new_table();
        for (key, value) in object.as_object().into_iter().flatten() {
            table.add_row([key.clone(), text(value)]);
        }
        print_line(&table);
    }

    /// The outcome of a change: a sentence for people, the API's answer for programs.
    pub fn done(self, sentence: &str, answer: &Value) {
        if self.json { print_json(answer) } else { print_line(&sentence) }
    }
}

fn new_table() -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table
}

/// JSON for programs.
pub fn print_json(value: &Value) {
    print_line(&format_args!("{value:#}"));
}

/// Who closes the pipe has read enough: that ends the program and is no failure.
fn print_line(text: &dyn Display) {
    let mut out = std::io::stdout().lock();
    if let Err(error) = writeln!(out, "{text}") {
        let enough = error.kind() == ErrorKind::BrokenPipe;
        if !enough {
            eprintln!("ddm: the answer cannot be written: {error}");
        }
        std::process::exit(i32::from(!enough));
    }
}

fn cell(row: &Value, path: &str) -> String {
    text(path.split('.').fold(row, |value, key| &value[key]))
}

/// A value in a cell; objects in a list stand as their names.
fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(text).collect::<Vec<_>>().join(", "),
        Value::Object(fields) => {
            match ["name", "ip", "code", "host", "id"].iter().find_map(|key| fields.get(*key)) {
                Some(name) => text(name),
                None => value.to_string(),
            }
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn cells() {
        let row = json!({"a": {"b": 3}, "list": [{"name": "x"}, {"name": "y"}], "none": null, "flag": true});
        assert_eq!(cell(&row, "a.b"), "3");
        assert_eq!(cell(&row, "list"), "x, y");
        assert_eq!(cell(&row, "none"), "");
        assert_eq!(cell(&row, "missing.deep"), "");
        assert_eq!(cell(&row, "flag"), "true");
    }
}
