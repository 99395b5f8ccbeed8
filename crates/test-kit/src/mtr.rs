//! SQL statements out of files in the language of `mysqltest`, the program that runs the server's own
//! tests. The files stay where the distribution's package mariadb-test-data puts them; nothing of
//! them is kept here. Nothing is interpreted: what a file does with variables, other programs and
//! included files is passed over, and what is plain SQL is handed out in order, with the connection
//! that it belongs to and whether it is expected to fail.

use anyhow::{Context, Result, bail};
use sql_syntax::CharsetClass;
use std::path::{Path, PathBuf};

/// Where the package has the files; `DDM_TEST_MTR_DIR` names another place.
const DIR: &str = "/usr/share/mysql/mysql-test";

/// Words that begin a command with a statement in it, which is plain when it names no variable.
const WITH_STATEMENT: &[&str] = &[
    "eval",
    "evalp",
    "query",
    "query_vertical",
    "query_horizontal",
    "send",
    "send_eval",
    "query_get_value",
];

/// Commands whose input follows in lines of its own, up to a word that ends it.
const WITH_INPUT: &[&str] = &["perl", "write_file", "append_file"];

/// Words that begin a command and no statement. Words with these beginnings are commands too:
/// see [`COMMAND_PREFIXES`].
const COMMANDS: &[&str] = &[
    "assert",
    "cat_file",
    "change_user",
    "character_set",
    "chmod",
    "connect",
    "connection",
    "copy_file",
    "copy_files_wildcard",
    "dec",
    "delimiter",
    "die",
    "diff_files",
    "dirty_close",
    "disconnect",
    "echo",
    "end",
    "end_timer",
    "error",
    "exec",
    "execw",
    "exec_in_background",
    "exit",
    "file_exists",
    "horizontal_results",
    "inc",
    "let",
    "list_files",
    "list_files_append_file",
    "list_files_write_file",
    "lowercase_result",
    "mkdir",
    "move_file",
    "optimizer_trace",
    "output",
    "partially_sorted_result",
    "ping",
    "ps_bind",
    "ps_close",
    "ps_execute",
    "ps_prepare",
    "real_sleep",
    "reap",
    "remove_file",
    "remove_files_wildcard",
    "replace_column",
    "replace_numeric_round",
    "replace_regex",
    "replace_result",
    "require",
    "reset_connection",
    "result",
    "result_format",
    "rmdir",
    "save_master_pos",
    "send_quit",
    "send_shutdown",
    "shutdown_server",
    "skip",
    "sleep",
    "sorted_result",
    "source",
    "start_timer",
    "sync_slave_with_master",
    "sync_with_master",
    "system",
    "vertical_results",
    "wait_for_slave_to_stop",
    "write_line",
];

/// Beginnings of families of commands.
const COMMAND_PREFIXES: &[&str] = &["enable_", "disable_", "force-"];

/// One statement of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MtrStatement {
    /// Its bytes, in whatever character set the file has, without the delimiter.
    pub sql: Vec<u8>,
    /// The file says that it fails or may fail.
    pub expects_error: bool,
    /// The connection that runs it; `default` is the first.
    pub connection: String,
    /// The line on which it begins, from 1.
    pub line: usize,
}

impl MtrStatement {
    /// The text, when it is UTF-8.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        std::str::from_utf8(&self.sql).ok()
    }
}

/// The folder of the files, or an error that says what to install.
pub fn dir() -> Result<PathBuf> {
    let dir =
        std::env::var_os("DDM_TEST_MTR_DIR").map_or_else(|| PathBuf::from(DIR), PathBuf::from);
    if !dir.join("main").is_dir() {
        bail!(
            "no statements of the server's own tests in {}: install the package mariadb-test-data \
             (xtask/install.sh test does), or name their folder in DDM_TEST_MTR_DIR",
            dir.display()
        );
    }
    Ok(dir)
}

/// Every `.test` and `.inc` file of the folders main, include and suite below [`dir`], sorted.
pub fn files() -> Result<Vec<PathBuf>> {
    let root = dir()?;
    let mut folders = vec![root.join("main"), root.join("include"), root.join("suite")];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        let read = std::fs::read_dir(&folder)
            .with_context(|| format!("cannot read {}", folder.display()))?;
        for entry in read {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
            } else if entry.path().extension().is_some_and(|end| end == "test" || end == "inc") {
                files.push(entry.path());
            }
        }
    }
    files.sort();
    Ok(files)
}

/// The statements of a file, in order.
pub fn statements(path: &Path) -> Result<Vec<MtrStatement>> {
    let text = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(split(&text))
}

/// The statements of a text.
#[must_use]
pub fn split(text: &[u8]) -> Vec<MtrStatement> {
    let mut reader = Reader {
        text,
        pos: 0,
        delimiter: b";".to_vec(),
        charset: CharsetClass::AsciiSafe,
        blocks: Vec::new(),
        parsing: true,
        may_fail: false,
        next_may_fail: false,
        connection: "default".to_owned(),
        counted: (0, 1),
        found: Vec::new(),
    };
    while let Some(piece) = reader.piece() {
        reader.take(piece);
    }
    reader.found
}

/// What stands between two delimiters, or one line.
struct Piece<'a> {
    text: &'a [u8],
    at: usize,
    /// A line that begins with `--`: a command or a comment, never a statement.
    dashed: bool,
}

struct Reader<'a> {
    text: &'a [u8],
    pos: usize,
    delimiter: Vec<u8>,
    charset: CharsetClass,
    /// Open blocks: whether what is inside is kept.
    blocks: Vec<bool>,
    /// Between disable_parsing and enable_parsing nothing counts.
    parsing: bool,
    may_fail: bool,
    next_may_fail: bool,
    connection: String,
    /// An offset and the line that it is on.
    counted: (usize, usize),
    found: Vec<MtrStatement>,
}

impl<'a> Reader<'a> {
    fn piece(&mut self) -> Option<Piece<'a>> {
        while self.text.get(self.pos)?.is_ascii_whitespace() {
            self.pos += 1;
        }
        let at = self.pos;
        let rest = self.text.get(at..)?;
        if rest.starts_with(b"#") || rest.starts_with(b"--") {
            let text = self.line();
            return Some(Piece { text, at, dashed: text.starts_with(b"--") });
        }
        if rest.starts_with(b"}") {
            self.pos += 1;
            return Some(Piece { text: b"}", at, dashed: false });
        }
        self.pos = self.end_of_piece(at);
        let mut text = &self.text[at..self.pos];
        if self.text[self.pos..].starts_with(&self.delimiter) {
            self.pos += self.delimiter.len();
        } else if self.text.get(self.pos) == Some(&b'{') {
            self.pos += 1;
            text = &self.text[at..self.pos];
        }
        Some(Piece { text, at, dashed: false })
    }

    /// Up to the delimiter outside of quotes, or up to the `{` of a block.
    fn end_of_piece(&self, at: usize) -> usize {
        let block = opens_block(&self.text[at..]);
        let (mut pos, mut quote, mut escaped) = (at, 0, false);
        while let Some(&byte) = self.text.get(pos) {
            let length = self.charset.char_len(&self.text[pos..]);
            if length > 1 {
                pos += length;
                escaped = false;
                continue;
            }
            if quote != 0 {
                if escaped {
                    escaped = false;
                } else if byte == b'\\' {
                    escaped = true;
                } else if byte == quote {
                    quote = 0;
                }
            } else if self.text[pos..].starts_with(&self.delimiter) || (block && byte == b'{') {
                return pos;
            } else if matches!(byte, b'\'' | b'"' | b'`') && !escaped {
                quote = byte;
            } else {
                escaped = byte == b'\\';
            }
            pos += 1;
        }
        pos.min(self.text.len())
    }

    fn line(&mut self) -> &'a [u8] {
        let rest = &self.text[self.pos..];
        let length = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
        self.pos = (self.pos + length + 1).min(self.text.len());
        rest[..length].trim_ascii()
    }

    fn take(&mut self, piece: Piece<'_>) {
        let text =
            if piece.dashed { piece.text[2..].trim_ascii() } else { piece.text.trim_ascii() };
        if text.is_empty() || text.starts_with(b"#") {
            return;
        }
        if text == b"}" {
            self.blocks.pop();
            return;
        }
        if opens_block(text) && text.ends_with(b"{") {
            self.blocks.push(keeps_block(text));
            return;
        }
        let (word, rest) = first_word(text);
        if word == "enable_parsing" || word == "disable_parsing" {
            self.parsing = word == "enable_parsing";
            return;
        }
        if WITH_INPUT.contains(&word.as_str()) {
            self.skip_input(&word, rest, piece.dashed);
        } else if WITH_STATEMENT.contains(&word.as_str()) {
            let rest = rest.strip_suffix(self.delimiter.as_slice()).unwrap_or(rest);
            if names_variable(rest) || word == "query_get_value" {
                self.next_may_fail = false;
            } else {
                self.statement(rest, piece.at);
            }
        } else if is_command(&word) {
            self.command(&word, rest, piece.dashed);
        } else if !piece.dashed {
            self.statement(text, piece.at);
        }
    }

    /// `perl;`, `write_file path end;`: lines up to the one that is the end word.
    fn skip_input(&mut self, word: &str, rest: &[u8], dashed: bool) {
        let rest = String::from_utf8_lossy(rest).into_owned();
        let mut words = rest.trim_end_matches(';').split_whitespace();
        let end = if word == "perl" { words.next() } else { words.nth(1) };
        let end = end.unwrap_or("EOF").as_bytes().to_vec();
        // The command's own line ends before the input begins.
        if !dashed {
            self.line();
        }
        while self.pos < self.text.len() {
            let line = self.line();
            if line == end || line.strip_suffix(self.delimiter.as_slice()) == Some(&end) {
                return;
            }
        }
    }

    fn command(&mut self, word: &str, rest: &[u8], dashed: bool) {
        let rest = if dashed { rest.trim_ascii() } else { rest };
        match word {
            "delimiter" if !rest.is_empty() => {
                // `--delimiter //` may end with the old delimiter or not.
                let new =
                    rest.strip_suffix(self.delimiter.as_slice()).filter(|new| !new.is_empty());
                self.delimiter = new.unwrap_or(rest).trim_ascii().to_vec();
            }
            "character_set" => {
                let name = rest.strip_suffix(b";").unwrap_or(rest);
                self.charset = CharsetClass::of_charset(name.trim_ascii());
            }
            "error" if self.counts() => self.next_may_fail = true,
            "disable_abort_on_error" if self.counts() => self.may_fail = true,
            "enable_abort_on_error" if self.counts() => self.may_fail = false,
            "connection" | "connect" if self.counts() => {
                let name: Vec<u8> = rest
                    .iter()
                    .copied()
                    .skip_while(|byte| matches!(byte, b' ' | b'('))
                    .take_while(|byte| !matches!(byte, b' ' | b',' | b';' | b')'))
                    .collect();
                self.connection = String::from_utf8_lossy(&name).into_owned();
            }
            _ => {}
        }
    }

    fn counts(&self) -> bool {
        self.parsing && self.blocks.iter().all(|kept| *kept)
    }

    fn statement(&mut self, sql: &[u8], at: usize) {
        if self.counts() && !sql.is_empty() {
            let passed = &self.text[self.counted.0..at];
            let line = self.counted.1 + passed.iter().filter(|byte| **byte == b'\n').count();
            self.counted = (at, line);
            self.found.push(MtrStatement {
                sql: sql.to_vec(),
                expects_error: self.may_fail || self.next_may_fail,
                connection: self.connection.clone(),
                line,
            });
            self.next_may_fail = false;
        }
    }
}

fn first_word(text: &[u8]) -> (String, &[u8]) {
    let length = text
        .iter()
        .position(|byte| !(byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')))
        .unwrap_or(text.len());
    let word = String::from_utf8_lossy(&text[..length]).to_ascii_lowercase();
    (word, text[length..].trim_ascii())
}

fn is_command(word: &str) -> bool {
    COMMANDS.contains(&word) || COMMAND_PREFIXES.iter().any(|prefix| word.starts_with(prefix))
}

fn opens_block(text: &[u8]) -> bool {
    let (word, rest) = first_word(text);
    (word == "if" || word == "while") && rest.starts_with(b"(")
}

/// A loop's plain statements run at least once, as a rule; a condition that is a constant is known;
/// what hangs on a variable is not.
fn keeps_block(text: &[u8]) -> bool {
    let (word, rest) = first_word(text);
    let condition = rest.strip_suffix(b"{").unwrap_or(rest).trim_ascii();
    let condition = condition.strip_prefix(b"(").unwrap_or(condition);
    let condition = condition.strip_suffix(b")").unwrap_or(condition).trim_ascii();
    match condition {
        b"0" => false,
        b"1" => true,
        _ => word == "while",
    }
}

/// `$name`; `$.path` and `$[0]` of JSON are none.
fn names_variable(text: &[u8]) -> bool {
    text.windows(2).any(|pair| {
        pair[0] == b'$' && (pair[1].is_ascii_alphanumeric() || matches!(pair[1], b'_' | b'{'))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn texts(text: &str) -> Vec<String> {
        split(text.as_bytes()).iter().map(|found| found.text().unwrap().to_owned()).collect()
    }

    #[test]
    fn statements_end_at_the_delimiter_outside_of_quotes() {
        assert_eq!(
            texts("# a comment\nSELECT ';', \"it's;\",\n `a;b`;SELECT 'it\\';s' ;\nSELECT 3"),
            ["SELECT ';', \"it's;\",\n `a;b`", "SELECT 'it\\';s'", "SELECT 3"]
        );
    }

    #[test]
    fn the_delimiter_can_be_changed() {
        let text = "delimiter |;\nCREATE PROCEDURE p() BEGIN SELECT 1; SELECT 2; END|\nSELECT 1|\n\
                    delimiter ;|\nSELECT 2;\n--delimiter //\nSELECT 3; //\n--delimiter ;\nSELECT 4;";
        assert_eq!(
            texts(text),
            [
                "CREATE PROCEDURE p() BEGIN SELECT 1; SELECT 2; END",
                "SELECT 1",
                "SELECT 2",
                "SELECT 3;",
                "SELECT 4"
            ]
        );
    }

    #[test]
    fn commands_and_included_files_are_passed_over() {
        let text = "--source include/have_innodb.inc\nsource include/x.inc;\nlet $a = `SELECT 1; `;\n\
                    -- just a comment\necho it is;\n--exec ls; rm\nsleep 1;\nenable_query_log;\n\
                    connect (con1,localhost,root,,);\nSELECT 1;\nconnection default;\nSELECT 2;";
        let found = split(text.as_bytes());
        assert_eq!(texts(text), ["SELECT 1", "SELECT 2"]);
        assert_eq!([&found[0].connection, &found[1].connection], ["con1", "default"]);
        assert_eq!(found[1].line, 12);
    }

    #[test]
    fn statements_with_variables_are_left_out() {
        let text = "eval SELECT $a;\neval SELECT JSON_EXTRACT('{}', '$.a');\nSELECT '$a';\n\
                    send SELECT 4;\nreap;\n--query_vertical SELECT 5\n";
        assert_eq!(
            texts(text),
            ["SELECT JSON_EXTRACT('{}', '$.a')", "SELECT '$a'", "SELECT 4", "SELECT 5"]
        );
    }

    #[test]
    fn what_hangs_on_a_variable_is_left_out() {
        let text = "if ($a)\n{\n SELECT 1;\n while (1) {\n SELECT 2;\n }\n}\nwhile ($n)\n{\n\
                    INSERT INTO t VALUES (1);\n dec $n;\n}\nif (1) { SELECT 3; }\nif (0) {\nSELECT 4;\n}\n\
                    if (`SELECT 1`) {\nSELECT 5;\n}\n--disable_parsing\nSELECT 6;\n--enable_parsing\nSELECT 7;";
        assert_eq!(texts(text), ["INSERT INTO t VALUES (1)", "SELECT 3", "SELECT 7"]);
    }

    #[test]
    fn input_of_commands_is_left_out() {
        let text = "perl;\nprint 'SELECT 1;';\nEOF\nSELECT 2;\n--write_file $x/y DONE\nSELECT 3;\nDONE\n\
                    write_file $x/z;\nSELECT 4;\nEOF\nSELECT 5;";
        assert_eq!(texts(text), ["SELECT 2", "SELECT 5"]);
    }

    #[test]
    fn failures_are_marked() {
        let text = "--error ER_NO_SUCH_TABLE\nSELECT 1;\nSELECT 2;\nerror 1146;\nSELECT 3;\n\
                    --disable_abort_on_error\nSELECT 4;\n--enable_abort_on_error\nSELECT 5;";
        let marked: Vec<bool> =
            split(text.as_bytes()).iter().map(|one| one.expects_error).collect();
        assert_eq!(marked, [true, false, true, true, false]);
    }

    #[test]
    fn characters_of_two_bytes_are_kept_whole() {
        let text = b"--character_set sjis\nSELECT '\x95\x5c';\nSELECT 2;";
        assert_eq!(split(text).len(), 2);
        let text = b"SELECT '\x95\x5c';\nSELECT 2;";
        assert_eq!(split(text).len(), 1);
    }

    #[test]
    fn the_installed_files_are_read() {
        let files = files().unwrap();
        assert!(files.len() > 3_000, "{}", files.len());
        let count: usize = files
            .iter()
            .filter(|path| path.to_string_lossy().contains("/main/select"))
            .map(|path| statements(path).unwrap().len())
            .sum();
        assert!(count > 500, "{count}");
    }
}
