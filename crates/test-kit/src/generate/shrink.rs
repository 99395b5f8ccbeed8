//! Smaller forms of a tree, the boldest first. None of them needs to be right SQL: a form on which
//! both servers fail alike is simply not kept.

use super::tree::{Form, Node, Piece, Sort};

/// How many parts of a node are tried in its place.
const PARTS: usize = 6;

/// Every tree that is one step smaller.
pub fn smaller(node: &Node) -> Vec<Node> {
    let mut found = Vec::new();
    if let Form::Optional = node.form
        && !node.pieces.is_empty()
    {
        found.push(Node::nothing());
    }
    if let Form::List { least, .. } = node.form
        && node.pieces.len() > least
    {
        for at in 0..node.pieces.len() {
            let mut fewer = node.clone();
            fewer.pieces.remove(at);
            found.push(fewer);
        }
    }
    if !matches!(node.sort, Sort::Other | Sort::Order | Sort::Items) {
        let mut parts = Vec::new();
        inner(node, node.sort, &mut parts);
        found.extend(parts.into_iter().take(PARTS));
    }
    if let Some(text) = simplest(node.sort)
        && node.size() > 1
    {
        found.push(Node { sort: node.sort, form: Form::Whole, pieces: vec![text.into()] });
    }
    for (at, piece) in node.pieces.iter().enumerate() {
        if let Piece::Node(child) = piece {
            for less in smaller(child) {
                let mut changed = node.clone();
                changed.pieces[at] = Piece::Node(less);
                found.push(changed);
            }
        }
    }
    found.sort_by_key(Node::size);
    found
}

/// The nearest nodes of this sort below a node.
fn inner(node: &Node, sort: Sort, found: &mut Vec<Node>) {
    for child in node.nodes() {
        if child.sort == sort {
            found.push(child.clone());
        } else {
            inner(child, sort, found);
        }
    }
}

/// A literal of a type.
fn simplest(sort: Sort) -> Option<&'static str> {
    Some(match sort {
        Sort::Int => "1",
        Sort::Decimal => "1.5",
        Sort::Double => "1e0",
        Sort::Date => "DATE '2020-01-01'",
        Sort::Moment => "TIMESTAMP '2020-01-01 00:00:00'",
        Sort::Truth => "1 = 1",
        _ => return None,
    })
}
