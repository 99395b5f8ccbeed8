//! EXPLAIN: the plan as lines of text, or with FORMAT=JSON as one document for programs that read
//! plans, in which each operator has what it takes its rows from.

use crate::control::{not_supported, text};
use crate::query::{Source, parse_source, plan_parsed, values_of};
use crate::session::Core;
use base::sql_error;
use node_exec::error::{ExecError, sql};
use node_exec::rows::{reply_rows, text_column};
use serde_json::{Value, json};
use sql_syntax::ast::Explain;

/// An operator that stands below another is indented by so many spaces more.
const INDENT: usize = 2;

impl Core {
    /// EXPLAIN and EXPLAIN ANALYZE.
    pub async fn run_explain(
        &mut self,
        explain: &Explain,
        source: Source<'_>,
    ) -> Result<(), ExecError> {
        let (Some(_), None) = (&explain.stmt, &explain.connection) else {
            return Err(not_supported("EXPLAIN FOR CONNECTION"));
        };
        let as_document = is_json(explain, source)?;
        let inner = with_hints(explain, source);
        let inner = inner.as_slice();
        let mut tokens = sql_syntax::TokenBuf::new();
        sql_syntax::lex(inner, 0, source.mode, &mut tokens);
        let of_inner = Source {
            text: inner,
            tokens: &tokens,
            param_tokens: &[],
            params: &[],
            input: None,
            ..source
        };
        let parsed = parse_source(of_inner, 0)?;
        let planned = plan_parsed(self, &parsed, of_inner)?;
        let lines = match explain.analyze {
            true => self.analyze(&planned, of_inner).await?,
            false => planned.explain(&values_of(of_inner))?,
        };
        let (column, lines) = match as_document {
            true => ("EXPLAIN", vec![document(&lines)]),
            false => ("Logical Execution Plan", lines),
        };
        let rows: Vec<crate::show::Row> =
            lines.into_iter().map(|line| vec![Some(line.into_bytes())]).collect();
        reply_rows(&mut self.exec(), &[text_column(column)], &rows).await
    }
}

/// Whether FORMAT=JSON is wanted.
fn is_json(explain: &Explain, source: Source<'_>) -> Result<bool, ExecError> {
    let Some(format) = explain.format else { return Ok(false) };
    let name = text(&format.name(source.text));
    match name.to_ascii_lowercase().as_str() {
        "json" => Ok(true),
        "traditional" | "tree" => Ok(false),
        _ => Err(sql(
            sql_error::UNKNOWN_EXPLAIN_FORMAT,
            format!("Unknown EXPLAIN format name: '{name}'"),
        )),
    }
}

/// The lines as one document: what stands below a line, indented, is its `inputs`.
fn document(lines: &[String]) -> String {
    fn below(lines: &mut &[String], depth: usize) -> Vec<Value> {
        let mut operators = Vec::new();
        while let Some((line, rest)) = lines.split_first() {
            let operator = line.trim_start();
            if (line.len() - operator.len()) / INDENT < depth {
                break;
            }
            *lines = rest;
            operators.push(match below(lines, depth + 1) {
                inputs if inputs.is_empty() => json!({ "operator": operator }),
                inputs => json!({ "operator": operator, "inputs": inputs }),
            });
        }
        operators
    }
    let mut rest = lines;
    let plan = json!({ "logical_plan": below(&mut rest, 0) });
    format!("{plan:#}")
}

/// The statement that EXPLAIN is about, with the hints that stand before either of them.
fn with_hints(explain: &Explain, source: Source<'_>) -> Vec<u8> {
    let start = explain.stmt_span.start;
    let first = source.tokens.tokens().iter().position(|token| token.span().start >= start);
    let mut text = Vec::new();
    for hint in source.tokens.hints() {
        if hint.before_tok == 0 || Some(hint.before_tok as usize) == first {
            text.extend_from_slice(hint.span.of(source.text));
            text.push(b' ');
        }
    }
    text.extend_from_slice(explain.stmt_span.of(source.text));
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_document_has_the_tree_of_the_lines() {
        let lines = ["Sort(key=\"a\")", "  Scratch(x)", "    Scan(1)", "    Scan(2)", "  Scan(3)"];
        let lines = lines.map(str::to_owned);
        let read: Value = serde_json::from_str(&document(&lines)).unwrap();
        let scan = |number: u8| json!({ "operator": format!("Scan({number})") });
        let scratch = json!({ "operator": "Scratch(x)", "inputs": [scan(1), scan(2)] });
        let sort = json!({ "operator": "Sort(key=\"a\")", "inputs": [scratch, scan(3)] });
        assert_eq!(read, json!({ "logical_plan": [sort] }));
    }
}
