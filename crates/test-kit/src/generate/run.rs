//! Runs episodes on the plain server and on DDM in every layout and both protocols, and makes
//! smaller what differs.

use super::episode::Episode;
use super::shrink::smaller;
use super::tree::{Node, Sort};
use super::write::WRITTEN;
use crate::compare::{Nature, Verdict, judge_as};
use crate::layout::{Layout, strip_clauses};
use crate::observe::{Observed, Protocol, observe_with};
use crate::plain_server::PlainServer;
use crate::table_set::TableSet;
use anyhow::Result;
use node_backend::{ConnectOptions, Connection};

/// How many smaller forms are tried for one difference.
const SHRINK_TRIES: usize = 400;

/// One layout's connection.
#[derive(Debug)]
struct Place {
    layout: Layout,
    options: ConnectOptions,
    schema: String,
    connection: Connection,
}

/// A difference, made small.
#[derive(Clone, Debug)]
pub struct Difference {
    /// The seed.
    pub seed: u64,
    /// The layout and the protocol.
    pub place: String,
    /// The statements, without those that are not needed.
    pub statements: Vec<String>,
    /// What differs.
    pub how: String,
}

/// What many episodes came to.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Statements that a client cannot tell apart.
    pub equal: usize,
    /// Of them, those that both servers refuse with the same error.
    pub errors: usize,
    /// Statements that DDM refuses, with the reason's first words.
    pub refused: std::collections::BTreeMap<String, (usize, String)>,
    /// What is wrong.
    pub differences: Vec<Difference>,
}

/// The servers with the random statements' tables.
#[derive(Debug)]
pub struct Bench<'a> {
    plain: &'a PlainServer,
    connection: Connection,
    plain_schema: String,
    tables: TableSet,
    places: Vec<Place>,
}

impl<'a> Bench<'a> {
    /// Makes the tables in every place; `schemas` are the layouts' options and schemas on DDM.
    pub async fn open(
        plain: &'a PlainServer,
        plain_schema: &str,
        places: Vec<(Layout, ConnectOptions, String)>,
    ) -> Result<Bench<'a>> {
        let tables = TableSet::random()?;
        let mut connection = plain.connect(Some(plain_schema)).await?;
        let mut opened = Vec::new();
        for (layout, options, schema) in places {
            let mut to = Connection::connect(&options).await?;
            tables.make(&mut to, None, |definition| layout.fill(definition)).await?;
            opened.push(Place { layout, options, schema, connection: to });
        }
        tables.make(&mut connection, None, strip_clauses).await?;
        let plain_schema = plain_schema.to_owned();
        Ok(Bench { plain, connection, plain_schema, tables, places: opened })
    }

    /// Runs one episode everywhere and counts how it went.
    pub async fn run(&mut self, episode: &Episode, tally: &mut Tally) -> Result<()> {
        let protocols: &[Protocol] = match (episode.writes, episode.seed % 2) {
            (false, _) => &[Protocol::Text, Protocol::Binary],
            (true, 0) => &[Protocol::Text],
            (true, _) => &[Protocol::Binary],
        };
        for protocol in protocols {
            let expected = self.on_plain(&episode.statements, *protocol).await?;
            for place in 0..self.places.len() {
                let outcome = self.on_ddm(place, &episode.statements, *protocol, &expected).await?;
                self.count(episode, place, *protocol, &expected, outcome, tally).await?;
            }
            if episode.writes {
                self.restore(&episode.statements).await?;
            }
        }
        Ok(())
    }

    async fn count(
        &mut self,
        episode: &Episode,
        place: usize,
        protocol: Protocol,
        expected: &[Observed],
        outcome: Vec<Verdict>,
        tally: &mut Tally,
    ) -> Result<()> {
        let mut bad = None;
        for (at, verdict) in outcome.into_iter().enumerate() {
            match verdict {
                Verdict::Equal => {
                    tally.equal += 1;
                    tally.errors += usize::from(matches!(expected[at], Observed::Error { .. }));
                }
                Verdict::Refused(reason) => {
                    let text = episode.statements[at].text();
                    tally.refused.entry(reason).or_insert((0, text)).0 += 1;
                    // What follows a refused write starts from other rows.
                    if episode.writes {
                        break;
                    }
                }
                Verdict::Wrong(how) | Verdict::Crashed(how) => {
                    bad = Some(how);
                    break;
                }
            }
        }
        let Some(how) = bad else { return Ok(()) };
        let name = format!("{} {protocol:?}", self.places[place].layout.name);
        // One place shows a difference; the others are only named.
        if let Some(known) = tally.differences.iter_mut().find(|known| known.seed == episode.seed) {
            known.place.push_str(&format!(", {name}"));
        } else {
            let small = self.shrink(episode, place, protocol, how).await?;
            let statements = small.0.iter().map(Node::text).collect();
            let difference =
                Difference { seed: episode.seed, place: name, statements, how: small.1 };
            tally.differences.push(difference);
            if episode.writes {
                // The other places start from this episode's rows of the plain server.
                self.restore(&episode.statements).await?;
                self.on_plain(&episode.statements, protocol).await?;
            }
        }
        Ok(())
    }

    async fn on_plain(&mut self, nodes: &[Node], protocol: Protocol) -> Result<Vec<Observed>> {
        let mut seen = Vec::new();
        for node in nodes {
            let one = run_one(&mut self.connection, node, protocol).await;
            if matches!(one, Observed::Lost(_)) {
                self.plain.revive().await?;
                self.connection = self.plain.connect(Some(&self.plain_schema)).await?;
            }
            seen.push(one);
        }
        Ok(seen)
    }

    async fn on_ddm(
        &mut self,
        place: usize,
        nodes: &[Node],
        protocol: Protocol,
        expected: &[Observed],
    ) -> Result<Vec<Verdict>> {
        let mut verdicts = Vec::new();
        let plain_schema = self.plain_schema.clone();
        let place = &mut self.places[place];
        for (node, expected) in nodes.iter().zip(expected) {
            // What brings the plain server down would bring down the data nodes, too.
            if matches!(expected, Observed::Lost(_)) {
                break;
            }
            let seen = run_one(&mut place.connection, node, protocol).await;
            let verdict = judge_as(
                &node.text(),
                &nature(node),
                &expected.clone().in_schema(&plain_schema, &place.schema),
                &seen,
            );
            let lost = matches!(verdict, Verdict::Crashed(_));
            let ends = !matches!(verdict, Verdict::Equal);
            verdicts.push(verdict);
            if lost {
                place.connection = Connection::connect(&place.options).await?;
            }
            if ends {
                break;
            }
        }
        Ok(verdicts)
    }

    /// Brings the first rows back everywhere.
    async fn restore(&mut self, nodes: &[Node]) -> Result<()> {
        let tables = written(nodes);
        self.tables.refill(&mut self.connection, &tables).await?;
        for place in &mut self.places {
            self.tables.refill(&mut place.connection, &tables).await?;
        }
        Ok(())
    }

    /// Makes an episode small while it still differs in this place.
    async fn shrink(
        &mut self,
        episode: &Episode,
        place: usize,
        protocol: Protocol,
        how: String,
    ) -> Result<(Vec<Node>, String)> {
        let (mut best, mut how) = (episode.statements.clone(), how);
        let tables = if episode.writes { written(&best) } else { Vec::new() };
        let mut tries = 0;
        'again: loop {
            // A session keeps what a statement has set: without it others mean another thing.
            for candidate in fewer(&best, episode.writes) {
                tries += 1;
                if tries > SHRINK_TRIES {
                    break 'again;
                }
                if let Some(still) = self.differs(&candidate, place, protocol, &tables).await? {
                    (best, how) = (candidate, still);
                    continue 'again;
                }
            }
            break;
        }
        Ok((best, how))
    }

    async fn differs(
        &mut self,
        nodes: &[Node],
        place: usize,
        protocol: Protocol,
        tables: &[&str],
    ) -> Result<Option<String>> {
        if !tables.is_empty() {
            self.tables.refill(&mut self.connection, tables).await?;
            self.tables.refill(&mut self.places[place].connection, tables).await?;
        }
        let expected = self.on_plain(nodes, protocol).await?;
        let verdicts = self.on_ddm(place, nodes, protocol, &expected).await?;
        Ok(verdicts.into_iter().find_map(|verdict| match verdict {
            Verdict::Wrong(how) | Verdict::Crashed(how) => Some(how),
            Verdict::Equal | Verdict::Refused(_) => None,
        }))
    }
}

/// The tables that these statements write.
fn written(nodes: &[Node]) -> Vec<&'static str> {
    let texts: Vec<String> =
        nodes.iter().map(Node::text).filter(|text| !text.starts_with("SELECT")).collect();
    WRITTEN
        .iter()
        .copied()
        .filter(|table| {
            texts.iter().any(|text| {
                text.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| word == *table)
            })
        })
        .collect()
}

/// Lists of statements that are one step smaller.
fn fewer(nodes: &[Node], without: bool) -> Vec<Vec<Node>> {
    let mut found = Vec::new();
    if without && nodes.len() > 1 {
        for at in 0..nodes.len() {
            let mut less = nodes.to_vec();
            less.remove(at);
            found.push(less);
        }
    }
    for (at, node) in nodes.iter().enumerate() {
        for one in smaller(node) {
            let mut changed = nodes.to_vec();
            changed[at] = one;
            found.push(changed);
        }
    }
    found
}

/// What of a statement's result is defined.
fn nature(node: &Node) -> Nature {
    let items = node.find(Sort::Items);
    let nearly = items.map_or_else(Vec::new, |items| {
        let sorts = items.nodes().map(|item| item.sort).enumerate();
        sorts.filter(|(_, sort)| *sort == Sort::Nearly).map(|(at, _)| at).collect()
    });
    Nature {
        ordered: node.nodes().any(|child| child.sort == Sort::Order && !child.pieces.is_empty()),
        nearly,
        text_decimals: true,
    }
}

async fn run_one(connection: &mut Connection, node: &Node, protocol: Protocol) -> Observed {
    let mut text = String::new();
    let mut values = (protocol == Protocol::Binary).then(Vec::new);
    node.write(&mut text, &mut values);
    observe_with(connection, protocol, &text, &values.unwrap_or_default()).await
}
