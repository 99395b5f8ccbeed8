//! Episodes about a session's own state: user variables that queries read and SELECT INTO sets, and
//! statements that are prepared as text.

use super::scalar::{Generator, Scope};
use super::tree::{Node, Piece, Sort, Spelling};
use crate::node;

/// Types that a variable keeps as they are.
const KEPT: &[Sort] = &[Sort::Int, Sort::Decimal, Sort::Double, Sort::Text(Spelling::General)];

impl Generator {
    /// Variables, and queries that read them; or a prepared statement with its values.
    pub fn session_episode(&mut self) -> Vec<Node> {
        let mut statements = if self.choice.chance(50) { self.assigned() } else { Vec::new() };
        if statements.is_empty() || self.choice.chance(50) {
            statements.extend(self.prepared());
        }
        statements
    }

    fn assigned(&mut self) -> Vec<Node> {
        let mut statements = Vec::new();
        for _ in 0..(1 + self.choice.below(2)) {
            let sort = *self.choice.of(KEPT);
            let name = format!("@{}", self.name('v'));
            let statement = if self.choice.chance(50) {
                let (source, scope) = self.table_source(&Scope::default());
                let value = self.expr(sort, 1, &scope, true).node;
                let filter = self.filter(1, &scope);
                let function = *self.choice.of(&["MIN(", "MAX("]);
                node!(Sort::Other; "SELECT ", function, value, ") FROM ", source, filter, format!(" INTO {name}"))
            } else {
                let value = self.expr(sort, 2, &Scope::default(), true).node;
                node!(Sort::Other; format!("SET {name} = "), value)
            };
            statements.push(statement);
            statements.push(node!(Sort::Other; format!("SELECT {name} AS v")));
            self.variables.push((name, sort));
        }
        self.queries = 3;
        let query = self.statement();
        statements.push(query);
        statements
    }

    fn prepared(&mut self) -> Vec<Node> {
        let sorts = [Sort::Int, *self.choice.of(KEPT)];
        // In conditions alone: in a list of items a parameter has its literal's type.
        let core = self.select(&sorts, &Scope::default(), false, false);
        let (mut text, mut values) = (String::new(), Some(Vec::new()));
        core.node.write(&mut text, &mut values);
        let mut literals = Vec::new();
        collect(&core.node, &mut literals);
        let mut statements =
            vec![node!(Sort::Other; format!("PREPARE p FROM '{}'", text.replace('\'', "''")))];
        let mut using = Vec::new();
        for (at, literal) in literals.iter().enumerate() {
            statements.push(node!(Sort::Other; format!("SET @p{at} = {literal}")));
            using.push(format!("@p{at}"));
        }
        let using =
            if using.is_empty() { String::new() } else { format!(" USING {}", using.join(", ")) };
        statements.push(node!(Sort::Other; format!("EXECUTE p{using}")));
        if let Some(first) = literals.first()
            && self.choice.chance(40)
        {
            let again = if first == "NULL" { "5" } else { "NULL" };
            statements.push(node!(Sort::Other; format!("SET @p0 = {again}")));
            statements.push(node!(Sort::Other; format!("EXECUTE p{using}")));
        }
        statements.push(node!(Sort::Other; "DEALLOCATE PREPARE p"));
        statements
    }
}

/// The literals that are parameters, in the order of the text.
fn collect(node: &Node, found: &mut Vec<String>) {
    for piece in &node.pieces {
        match piece {
            Piece::Node(child) => collect(child, found),
            Piece::Literal { text, value: Some(_) } => found.push(text.clone()),
            Piece::Literal { .. } | Piece::Text(_) => {}
        }
    }
}
