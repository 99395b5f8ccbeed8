//! Misfortunes that come by themselves: data nodes and nodes are killed and start again, connections
//! are cut. What happens to single statements is in [`crate::data_node`].

use crate::system::System;
use crate::world::World;
use std::time::Duration;
use tokio::time::Instant;

/// How rough a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Roughness {
    /// One in so many statements on data nodes meets a misfortune; 0: none.
    pub statements: u64,
    /// The longest time between two greater ones; none: there are none.
    pub pause: Option<Duration>,
}

/// Goes on until then; afterwards everything runs again, and nothing happens any more.
pub async fn run(world: &World, system: &System, roughness: Roughness, until: Instant) {
    world.set_misfortune(roughness.statements);
    let Some(pause) = roughness.pause else {
        tokio::time::sleep_until(until).await;
        return world.set_misfortune(0);
    };
    let pause = pause.as_millis() as u64;
    while Instant::now() < until {
        tokio::time::sleep(world.numbers().millis(1, pause)).await;
        strike(world, system);
    }
    world.set_misfortune(0);
    world.trace().note("no more misfortunes");
}

fn strike(world: &World, system: &System) {
    let numbers = world.numbers();
    match numbers.below(10) {
        0..3 => {
            let data_node = numbers.pick(&system.data_nodes).clone();
            if data_node.is_running() {
                data_node.crash();
                let down = numbers.millis(50, 4_000);
                tokio::task::spawn_local(async move {
                    tokio::time::sleep(down).await;
                    data_node.start();
                });
            }
        }
        3..7 => {
            let node = numbers.pick(&system.nodes).clone();
            if node.is_running() {
                node.crash();
                let (down, snapshot) = (numbers.millis(20, 3_000), system.snapshot.clone());
                tokio::task::spawn_local(async move {
                    tokio::time::sleep(down).await;
                    node.start(&snapshot);
                });
            }
        }
        _ => {
            let data_node = numbers.pick(&system.data_nodes);
            world.trace().note(&format!("data node {} loses its connections", data_node.port()));
            data_node.cut_all();
        }
    }
}
