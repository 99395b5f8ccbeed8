//! What is run at once: one query, or some writes with the transaction around them. Either begins
//! on the tables' first rows.

use super::scalar::Generator;
use super::tree::{Node, Sort};
use super::write::WRITTEN;
use crate::node;

/// The statements of one seed.
#[derive(Clone, Debug)]
pub struct Episode {
    /// The seed.
    pub seed: u64,
    /// In order.
    pub statements: Vec<Node>,
    /// Whether the tables must be made anew afterwards.
    pub writes: bool,
}

impl Episode {
    /// A query, in one of six cases writes, in some a session's own state.
    pub fn of(seed: u64) -> Self {
        let mut generator = Generator::new(seed);
        if generator.choice.chance(6) {
            return Self { seed, statements: generator.session_episode(), writes: false };
        }
        if generator.choice.chance(81) {
            return Self { seed, statements: vec![generator.statement()], writes: false };
        }
        let mut statements = Vec::new();
        let plain = |text: &str| node!(Sort::Other; text);
        let transaction = generator.choice.chance(50);
        if transaction {
            statements.push(plain("BEGIN"));
        }
        for _ in 0..(2 + generator.choice.below(4)) {
            if transaction && generator.choice.chance(15) {
                statements.push(plain("SAVEPOINT p"));
            }
            let (node, _) = generator.write();
            statements.push(node);
            if generator.choice.chance(20) {
                generator.queries = 2;
                statements.push(generator.statement());
            }
            if transaction && generator.choice.chance(10) {
                statements.push(plain("ROLLBACK TO p"));
            }
        }
        if transaction {
            statements.push(plain(if generator.choice.chance(50) { "COMMIT" } else { "ROLLBACK" }));
        }
        statements.extend(WRITTEN.iter().map(|table| plain(&format!("SELECT * FROM {table}"))));
        Self { seed, statements, writes: true }
    }
}
