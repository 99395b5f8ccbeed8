//! Where a statement's tables are together, as far as their kinds decide it: single tables are on
//! their first shard, broadcast tables on every one, sharded tables at a target.

use crate::bind::{Bound, Reference};
use crate::plan::{Home, PlanTable, TablePlace};
use std::sync::Arc;
use topology::model::{Placement, Schema};

/// What the kinds of tables say.
pub(crate) enum Found {
    /// One place, whatever the values.
    One(Home),
    /// A target of this schema.
    Sharded {
        schema: String,
        /// The shards on whose data nodes all other tables are too; `None`: all.
        forwardable: Option<Arc<[bool]>>,
    },
    /// Nowhere.
    Apart,
}

/// Tables and the place where they are together.
pub(crate) struct Places {
    pub tables: Arc<[PlanTable]>,
    pub home: Found,
}

impl Places {
    pub fn of(bound: &Bound<'_>) -> Places {
        let sharded = bound.refs.iter().find(|reference| reference.is_sharded());
        let single = bound.refs.iter().find(|reference| reference.is_single());
        let Some(anchor) = sharded.or(single).or(bound.refs.first()) else {
            return Places { tables: Arc::from([]), home: Found::One(Home::Any { schema: None }) };
        };
        let anchor_schema = anchor.schema;
        let shards = anchor_schema.shards.len();
        let mut allowed = vec![true; shards];
        let mut together = true;
        let mut tables = Vec::new();
        for reference in &bound.refs {
            let place = place_of(reference, anchor_schema, &mut allowed, &mut together);
            tables.push(plan_table(reference, place));
        }
        let home = if !together || !allowed.contains(&true) {
            Found::Apart
        } else {
            home_of(anchor, anchor_schema, &allowed)
        };
        Places { tables: tables.into(), home }
    }
}

fn home_of(anchor: &Reference<'_>, schema: &Schema, allowed: &[bool]) -> Found {
    let name = schema.name.clone();
    let everywhere = !allowed.contains(&false);
    match &anchor.table.placement {
        Placement::Sharded(_) => {
            Found::Sharded { schema: name, forwardable: (!everywhere).then(|| Arc::from(allowed)) }
        }
        Placement::Single if allowed[0] => Found::One(Home::Shard { schema: name, shard: 0 }),
        Placement::Single => Found::Apart,
        Placement::Broadcast if everywhere => Found::One(Home::Any { schema: Some(name) }),
        Placement::Broadcast => {
            let shard = allowed.iter().position(|allowed| *allowed).unwrap_or_default();
            Found::One(Home::Shard { schema: name, shard: crate::names::number(shard) })
        }
    }
}

/// Where a reference's table is, seen from the anchor's shards; strikes out the shards on whose data
/// node it is not.
fn place_of(
    reference: &Reference<'_>,
    anchor: &Schema,
    allowed: &mut [bool],
    together: &mut bool,
) -> TablePlace {
    let own = reference.schema;
    let same_schema = own.name == anchor.name;
    match &reference.table.placement {
        Placement::Sharded(rule) => {
            *together &= same_schema;
            TablePlace::Sharded { suffixed: rule.table.is_some() }
        }
        Placement::Single => {
            for (shard, allowed) in anchor.shards.iter().zip(allowed.iter_mut()) {
                *allowed &= Some(&shard.data_node) == own.shards.first().map(|own| &own.data_node);
            }
            TablePlace::Fixed { shard: 0 }
        }
        Placement::Broadcast if same_schema => TablePlace::Broadcast,
        Placement::Broadcast => {
            let shards = anchor.shards.iter().zip(allowed.iter_mut()).map(|(shard, allowed)| {
                let near = own.shards.iter().find(|own| own.data_node == shard.data_node);
                *allowed &= near.is_some();
                near.map_or(0, |near| near.index)
            });
            TablePlace::BroadcastOf { shards: shards.collect() }
        }
    }
}

/// The plan's view of a reference.
pub(crate) fn plan_table(reference: &Reference<'_>, place: TablePlace) -> PlanTable {
    PlanTable {
        schema: reference.schema.name.clone(),
        name: reference.table.name.clone(),
        physical_base: reference.table.physical_base.clone(),
        alias: reference.alias.clone(),
        place,
    }
}
