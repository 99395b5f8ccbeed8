//! Names for ids: a person says `shop`, the API wants 36 characters.

use super::Session;
use crate::rest::encode;
use anyhow::{Result, bail};
use base::id::InstanceId;
use serde_json::Value;

impl Session {
    /// The id of the instance with this id or name.
    pub async fn instance_id(&self, name_or_id: &str) -> Result<String> {
        if InstanceId::parse(name_or_id).is_some() {
            return Ok(name_or_id.to_owned());
        }
        let instances = self.instances().await?;
        let found: Vec<&str> = instances
            .iter()
            .filter(|instance| instance["name"].as_str() == Some(name_or_id))
            .filter_map(|instance| instance["id"].as_str())
            .collect();
        match found.as_slice() {
            [id] => Ok((*id).to_owned()),
            [] => bail!("no instance {name_or_id:?}; see `ddm ctl instances list`"),
            several => bail!("{} instances are named {name_or_id:?}; give an id", several.len()),
        }
    }

    /// All instances.
    pub async fn instances(&self) -> Result<Vec<Value>> {
        self.client.list("/v1/{project_id}/instances", "instances").await
    }

    /// The path of a call on an instance: `/v1/{project_id}/instances/<id>` and `rest`.
    pub async fn instance_path(
        &self,
        version: &str,
        instance: &str,
        rest: &[&str],
    ) -> Result<String> {
        let id = self.instance_id(instance).await?;
        let mut path = format!("/{version}/{{project_id}}/instances/{id}");
        for segment in rest {
            path.push('/');
            path.push_str(&encode(segment));
        }
        Ok(path)
    }
}
