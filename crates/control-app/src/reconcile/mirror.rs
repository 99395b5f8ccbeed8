//! What the reconciler and the lists of instances need of every node, kept up to date by the store's
//! changes, so that looking costs what has changed and not what is there.

use base::id::{InstanceId, NodeId};
use control_store::record::Record;
use control_store::records::node::{NodeRecord, NodeStage};
use control_store::{Store, StoreError, WatchStream};
use std::collections::BTreeMap;

/// What is kept of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedNode {
    /// Its id.
    pub id: NodeId,
    /// Its instance.
    pub instance_id: InstanceId,
    /// How far it is.
    pub stage: NodeStage,
    /// It should run now.
    pub should_run: bool,
}

impl From<&NodeRecord> for WantedNode {
    fn from(record: &NodeRecord) -> Self {
        Self {
            id: record.id.clone(),
            instance_id: record.instance_id.clone(),
            stage: record.stage,
            should_run: record.should_run,
        }
    }
}

impl From<NodeRecord> for WantedNode {
    fn from(record: NodeRecord) -> Self {
        Self {
            id: record.id,
            instance_id: record.instance_id,
            stage: record.stage,
            should_run: record.should_run,
        }
    }
}

/// All nodes as the store has them.
#[derive(Debug, Default)]
pub struct NodeMirror {
    /// By the key of the record.
    nodes: BTreeMap<String, WantedNode>,
    changes: Option<WatchStream>,
}

impl NodeMirror {
    /// Every node as it was at this call or later.
    pub async fn present(&mut self, store: &dyn Store) -> Result<Vec<WantedNode>, StoreError> {
        if !self.follow() {
            self.read_all(store).await?;
        }
        Ok(self.nodes.values().cloned().collect())
    }

    /// The nodes of each of these instances, as they were at this call or later.
    pub async fn of_each(
        &mut self,
        store: &dyn Store,
        instances: impl Iterator<Item = &InstanceId>,
    ) -> Result<Vec<Vec<WantedNode>>, StoreError> {
        if !self.follow() {
            self.read_all(store).await?;
        }
        let of = |id: &InstanceId| {
            let prefix = NodeRecord::prefix_of(id);
            let from = self.nodes.range(prefix.clone()..);
            from.take_while(|(key, _)| key.starts_with(&prefix))
                .map(|(_, node)| node.clone())
                .collect()
        };
        Ok(instances.map(of).collect())
    }

    /// Takes in the changes that have come; false: some were missed, and all must be read anew. The
    /// store tells of a change before it answers who made it.
    fn follow(&mut self) -> bool {
        let Some(changes) = &mut self.changes else { return false };
        loop {
            let change = match changes.try_next() {
                Ok(Some(change)) => change,
                Ok(None) => return true,
                Err(_) => {
                    self.changes = None;
                    return false;
                }
            };
            let record = change.value.map(|value| serde_json::from_slice::<NodeRecord>(&value));
            match record {
                Some(Ok(record)) => drop(self.nodes.insert(change.key, record.into())),
                None => drop(self.nodes.remove(&change.key)),
                // Reading all tells which record it is.
                Some(Err(_)) => {
                    self.changes = None;
                    return false;
                }
            }
        }
    }

    async fn read_all(&mut self, store: &dyn Store) -> Result<(), StoreError> {
        let (entries, revision) = store.list(NodeRecord::PREFIX).await?;
        let mut nodes = BTreeMap::new();
        for entry in entries {
            let record = control_store::typed::read::<NodeRecord>(&entry)?;
            nodes.insert(entry.key, record.value.into());
        }
        self.nodes = nodes;
        self.changes = Some(store.watch(NodeRecord::PREFIX, revision + 1).await?);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use base::id::GroupId;
    use control_store::embedded::SqliteStore;
    use control_store::typed;
    use std::net::Ipv4Addr;

    fn node(should_run: bool) -> NodeRecord {
        NodeRecord {
            id: NodeId::random(),
            instance_id: InstanceId::random(),
            name: "n".to_owned(),
            group_id: GroupId::random(),
            availability_zone: "az1".to_owned(),
            ip: Ipv4Addr::LOCALHOST,
            stage: NodeStage::Made,
            flavor_code: None,
            should_run,
            certificates: None,
        }
    }

    #[tokio::test]
    async fn it_is_what_the_store_has() {
        let dir = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&dir.path().join("store.db")).unwrap();
        let mut mirror = NodeMirror::default();
        let (one, two) = (node(true), node(true));
        store.txn(vec![], vec![typed::put(&one)]).await.unwrap();
        assert_eq!(mirror.present(&*store).await.unwrap(), [one.clone().into()]);
        let ids = [&one.instance_id, &two.instance_id];
        let each = mirror.of_each(&*store, ids.into_iter()).await.unwrap();
        assert_eq!(each, [vec![WantedNode::from(&one)], vec![]]);
        let stopped = NodeRecord { should_run: false, ..one.clone() };
        store.txn(vec![], vec![typed::put(&two), typed::put(&stopped)]).await.unwrap();
        let mut seen = mirror.present(&*store).await.unwrap();
        seen.sort_by_key(|node| node.should_run);
        assert_eq!(seen, [stopped.into(), two.clone().into()]);
        store.txn(vec![], vec![typed::delete::<NodeRecord>(&one.key())]).await.unwrap();
        // More changes than a watcher may be behind: all is read anew.
        for _ in 0..=control_store::store::WATCH_QUEUE_MAX {
            store.txn(vec![], vec![typed::put(&two)]).await.unwrap();
        }
        let third = node(true);
        store.txn(vec![], vec![typed::put(&third)]).await.unwrap();
        assert_eq!(mirror.present(&*store).await.unwrap().len(), 2);
    }
}
