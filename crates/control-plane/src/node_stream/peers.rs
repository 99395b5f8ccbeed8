//! The way from one node to another: a question goes out on the stream of the node that is asked, and
//! its answer finds whoever waits for it by the question's number.

use base::id::NodeId;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use topology::peers::{PEER_TIMEOUT_MS, PeerAnswer, PeerAsk};
use topology::stream::ToNode;

/// Questions on their way at the same time; whoever asks more hears that the other is silent.
const WAITING_MAX: usize = 4_096;

#[derive(Debug, Default)]
struct State {
    /// Each node's stream with its number.
    streams: HashMap<NodeId, (u64, mpsc::Sender<ToNode>)>,
    waiting: HashMap<u64, (NodeId, oneshot::Sender<PeerAnswer>)>,
    last_request: u64,
}

/// The streams on which nodes can be asked.
#[derive(Debug, Default)]
pub struct Peers {
    state: Mutex<State>,
}

impl Peers {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics while holding the peers' state")
    }

    /// A node can be asked from now on.
    pub fn enter(&self, node: &NodeId, stream: u64, out: mpsc::Sender<ToNode>) {
        self.state().streams.insert(node.clone(), (stream, out));
    }

    /// The stream ended.
    pub fn leave(&self, node: &NodeId, stream: u64) {
        let mut state = self.state();
        if state.streams.get(node).is_some_and(|(number, _)| *number == stream) {
            state.streams.remove(node);
            // Whoever waits for it learns at once that nothing will come.
            state.waiting.retain(|_, (asked, _)| asked != node);
        }
    }

    /// Asks a node; nothing when it has no stream or does not answer in time.
    pub async fn ask(&self, node: &NodeId, ask: PeerAsk) -> Option<PeerAnswer> {
        let (reply, answer) = oneshot::channel();
        let request = {
            let mut state = self.state();
            let out = state.streams.get(node)?.1.clone();
            state.waiting.retain(|_, (_, reply)| !reply.is_closed());
            if state.waiting.len() >= WAITING_MAX {
                return None;
            }
            state.last_request += 1;
            let request = state.last_request;
            out.try_send(ToNode::PeerAsk { request, ask }).ok()?;
            state.waiting.insert(request, (node.clone(), reply));
            request
        };
        let answer = tokio::time::timeout(Duration::from_millis(PEER_TIMEOUT_MS), answer).await;
        self.state().waiting.remove(&request);
        answer.ok()?.ok()
    }

    /// A node answers.
    pub fn answered(&self, node: &NodeId, request: u64, answer: PeerAnswer) {
        let mut state = self.state();
        if state.waiting.get(&request).is_some_and(|(asked, _)| asked == node)
            && let Some((_, reply)) = state.waiting.remove(&request)
        {
            reply.send(answer).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn ask() -> PeerAsk {
        PeerAsk::KillUser { user: "u".into() }
    }

    #[tokio::test]
    async fn an_answer_finds_who_asked() {
        let (peers, node, other) = (Peers::default(), NodeId::random(), NodeId::random());
        assert_eq!(peers.ask(&node, ask()).await, None, "it has no stream");
        let (out, mut seen) = mpsc::channel(8);
        peers.enter(&node, 1, out);
        let answers = async {
            let Some(ToNode::PeerAsk { request, .. }) = seen.recv().await else { panic!("asked") };
            peers.answered(&other, request, PeerAnswer::NotOwner);
            peers.answered(&node, request, PeerAnswer::Killed { count: 3 });
        };
        let (answer, ()) = tokio::join!(peers.ask(&node, ask()), answers);
        assert_eq!(answer, Some(PeerAnswer::Killed { count: 3 }));
        assert_eq!(peers.ask(&node, ask()).await, None, "it does not answer in time");
        assert!(peers.state().waiting.is_empty());
    }

    #[tokio::test]
    async fn a_stream_that_ends_is_not_waited_for() {
        let (peers, node) = (Peers::default(), NodeId::random());
        let (out, _seen) = mpsc::channel(8);
        peers.enter(&node, 7, out);
        let begun = tokio::time::Instant::now();
        let leave = async {
            peers.leave(&node, 6);
            peers.leave(&node, 7);
        };
        let (answer, ()) = tokio::join!(peers.ask(&node, ask()), leave);
        assert_eq!(answer, None);
        assert!(begun.elapsed() < Duration::from_millis(PEER_TIMEOUT_MS), "it was not waited for");
    }
}
