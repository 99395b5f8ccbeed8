//! Brings what one node asks to all others of its instance.

use crate::App;
use crate::ports::SnapshotPublisher;
use base::id::{InstanceId, NodeId};
use base::sql_error::CONTROL_PLANE_AWAY;
use futures::future::join_all;
use topology::peers::PeerAsk;
use topology::stream::Answer;

/// What the other nodes of the instance say, and who of them says nothing.
pub(crate) async fn answer(
    app: &App,
    live: &dyn SnapshotPublisher,
    instance: &InstanceId,
    asking: &NodeId,
    ask: PeerAsk,
) -> Answer {
    let nodes = match app.nodes_of(instance).await {
        Ok(nodes) => nodes.into_iter().map(|node| node.value),
        Err(error) => {
            let message = format!("the control plane cannot find the other nodes: {error}");
            return Answer::Refused { sql_error: CONTROL_PLANE_AWAY.number, message };
        }
    };
    // One that drains still has sessions; one that is stopped has none.
    let others = nodes.filter(|node| node.should_run || live.is_heard(&node.id));
    let asked = others.filter(|node| node.id != *asking).map(|node| {
        let ask = ask.clone();
        async move { live.ask_node(&node.id, ask).await.ok_or(node.name) }
    });
    let (mut answers, mut silent) = (Vec::new(), Vec::new());
    for answer in join_all(asked).await {
        match answer {
            Ok(answer) => answers.push(answer),
            Err(name) => silent.push(name),
        }
    }
    Answer::Peers { answers, silent }
}
