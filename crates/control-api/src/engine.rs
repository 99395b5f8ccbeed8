//! Engines: the versions that an instance can be bought with.

use serde::Serialize;
use utoipa::ToSchema;

/// Answer of the v2 call.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListEnginesResponse {
    /// The page's engines.
    pub engine_groups: Vec<EngineGroup>,
    /// As asked.
    pub offset: u64,
    /// As asked.
    pub limit: u64,
    /// Engines in all.
    pub total: u64,
}

/// An engine.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EngineGroup {
    /// Its id.
    pub id: String,
    /// `ddm`.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The AZs.
    pub support_azs: Vec<SupportedAz>,
}

/// An AZ.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct SupportedAz {
    /// Its code.
    pub code: String,
    /// Its name.
    pub name: String,
    /// Whether it has the engine.
    pub favored: bool,
}

/// Answer of the v3 call.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ListEnginesV3Response {
    /// The page's engines.
    pub engine_groups: Vec<EngineV3>,
    /// As asked.
    pub offset: u64,
    /// As asked.
    pub limit: u64,
    /// Engines in all.
    pub total: u64,
}

/// An engine, v3.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct EngineV3 {
    /// Its id.
    pub id: String,
    /// `ddm`.
    pub name: String,
    /// Its version.
    pub version: String,
}
