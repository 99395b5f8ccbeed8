//! Engines: the versions that an instance can be bought with. There is one, this program's.

use crate::app::App;
use base::api_error::ApiError;
use control_api::engine::{
    EngineGroup, EngineV3, ListEnginesResponse, ListEnginesV3Response, SupportedAz,
};
use control_api::instance::EngineChoice;
use control_api::paging::{Page, total};

/// The one engine's id.
pub const ENGINE_ID: &str = "b756bcbc-3c6b-3686-8737-2fc967dea430";

/// The version that the API reports: the product's series whose behaviour is followed.
pub const ENGINE_VERSION: &str = "3.1.7";

/// The engine's name.
pub const ENGINE_NAME: &str = "ddm";

/// The version that `choice` names.
pub fn resolve(choice: &EngineChoice) -> Result<&'static str, ApiError> {
    let (field, good) = match choice {
        EngineChoice::Newest => return Ok(ENGINE_VERSION),
        EngineChoice::Id(id) => ("instance.engine_id", id == ENGINE_ID),
        // A build number may follow the three numbers of the series.
        EngineChoice::Version(version) => (
            "engine_version",
            version
                .strip_prefix(ENGINE_VERSION)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('.')),
        ),
    };
    if good {
        Ok(ENGINE_VERSION)
    } else {
        Err(ApiError::parameter(field, "is no known engine", "引擎不存在"))
    }
}

impl App {
    /// `GET /v2/{project_id}/engines`
    pub fn list_engines(&self, page: Page) -> ListEnginesResponse {
        let zones = &self.settings.availability_zones;
        let azs = zones.iter().map(|zone| SupportedAz {
            code: zone.clone(),
            name: zone.clone(),
            favored: true,
        });
        let all = vec![EngineGroup {
            id: ENGINE_ID.to_owned(),
            name: ENGINE_NAME.to_owned(),
            version: ENGINE_VERSION.to_owned(),
            support_azs: azs.collect(),
        }];
        ListEnginesResponse {
            total: total(&all),
            engine_groups: page.cut(all),
            offset: page.offset,
            limit: page.limit,
        }
    }

    /// `GET /v3/{project_id}/engines`
    pub fn list_engines_v3(&self, page: Page) -> ListEnginesV3Response {
        let all = vec![EngineV3 {
            id: ENGINE_ID.to_owned(),
            name: ENGINE_NAME.to_owned(),
            version: ENGINE_VERSION.to_owned(),
        }];
        ListEnginesV3Response {
            total: total(&all),
            engine_groups: page.cut(all),
            offset: page.offset,
            limit: page.limit,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_is_named_by_id_or_version() {
        let version = |text: &str| EngineChoice::Version(text.to_owned());
        for good in [
            EngineChoice::Newest,
            EngineChoice::Id(ENGINE_ID.to_owned()),
            version("3.1.7"),
            version("3.1.7.0"),
        ] {
            assert_eq!(resolve(&good), Ok(ENGINE_VERSION));
        }
        for bad in
            [EngineChoice::Id("x".to_owned()), version("3.1.70"), version("2.0"), version("")]
        {
            assert_eq!(resolve(&bad).map_err(|error| error.code.code), Err("DBS.280001"));
        }
    }
}
