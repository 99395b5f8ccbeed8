//! What can be bought: engines, and the node classes of the newest one.

use super::Client;
use anyhow::{Context, Result};
use serde_json::Value;

impl Client {
    /// All engines.
    pub async fn engines(&self) -> Result<Vec<Value>> {
        self.list("/v2/{project_id}/engines", "engineGroups").await
    }

    /// The node classes of the newest engine.
    pub async fn flavors(&self) -> Result<Vec<Value>> {
        let engines = self.engines().await?;
        let newest = newest(&engines).and_then(|engine| engine["id"].as_str());
        let engine_id = newest.context("the API offers no engine")?.to_owned();
        let query = [("engine_id", engine_id), ("limit", "100".to_owned())];
        let mut answer = self.get("/v2/{project_id}/flavors", &query).await?;
        let groups = answer["computeFlavorGroups"]
            .as_array_mut()
            .context("the API's answer has no flavor groups")?;
        Ok(groups
            .iter_mut()
            .filter_map(|group| match group["computeFlavors"].take() {
                Value::Array(flavors) => Some(flavors),
                _ => None,
            })
            .flatten()
            .collect())
    }

    /// The code of the smallest class.
    pub async fn smallest_flavor(&self) -> Result<String> {
        let flavors = self.flavors().await?;
        let smallest = smallest(&flavors).context("the API offers no node class")?;
        Ok(smallest["code"].as_str().context("a node class has no code")?.to_owned())
    }
}

/// Versions compare number by number.
fn newest(engines: &[Value]) -> Option<&Value> {
    let version = |engine: &Value| -> Vec<u64> {
        let text = engine["version"].as_str().unwrap_or_default();
        text.split('.').map(|part| part.parse().unwrap_or(0)).collect()
    };
    engines.iter().max_by_key(|engine| version(engine))
}

/// The class with the fewest vCPUs, then the least memory.
fn smallest(flavors: &[Value]) -> Option<&Value> {
    let number = |value: &Value| {
        value.as_str().and_then(|text| text.parse::<u64>().ok()).unwrap_or(u64::MAX)
    };
    flavors.iter().min_by_key(|flavor| (number(&flavor["cpu"]), number(&flavor["mem"])))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    #[test]
    fn the_smallest_class_and_the_newest_engine() {
        let flavors = [
            json!({"code": "b", "cpu": "16", "mem": "32"}),
            json!({"code": "a", "cpu": "8", "mem": "32"}),
            json!({"code": "c", "cpu": "8", "mem": "16"}),
        ];
        assert_eq!(smallest(&flavors).unwrap()["code"], "c");
        assert_eq!(smallest(&[]), None);
        let engines = [
            json!({"version": "3.1.9.0"}),
            json!({"version": "3.1.10.0"}),
            json!({"version": "2.9.0.0"}),
        ];
        assert_eq!(newest(&engines).unwrap()["version"], "3.1.10.0");
    }
}
